// Prints one line for each step of a client: what the runner reads. It must never let an error of one step end the others,
// and never call a step that threw one `ok`.
'use strict';

const assert = require('node:assert/strict');
const readline = require('node:readline');

const [host, port, protocol] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
// A condition that does not come within this time will not come.
const PATIENCE_MILLISECONDS = 20_000;

function inTime(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain: ${what}`)), PATIENCE_MILLISECONDS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Runs functions; the name of each is the name of its step. */
async function run(steps) {
  for (const step of steps) {
    try {
      await inTime(step.name, step());
      console.log(`ok ${step.name}`);
    } catch (error) {
      console.log(`FAILED ${step.name}: ${String(error.stack).split('\n').slice(0, 12).join(' ')}`);
    }
  }
  process.exit(0);
}

/** Asks the runner to kill the server and to start it again, and waits until that is done. */
function loseTheServer() {
  const input = readline.createInterface({ input: process.stdin });
  return new Promise((resolve, reject) => {
    input.once('line', (line) => {
      input.close();
      line === 'back' ? resolve() : reject(new Error(`the runner said ${line}`));
    });
    console.log('kill');
  });
}

const same = (wanted, got) => assert.deepStrictEqual(got, wanted);

/** A client may give a map without a prototype. */
const plain = (map) => ({ ...map });

async function until(what, isSo) {
  const begun = Date.now();
  while (!(await isSo())) {
    if (Date.now() - begun > PATIENCE_MILLISECONDS) throw new Error(`waited in vain: ${what}`);
    await new Promise(setImmediate);
  }
}

async function refused(pattern, promise) {
  await assert.rejects(promise, (error) => {
    assert.match(String(error), pattern);
    return true;
  });
}

const numbers = (count) => Array.from({ length: count }, (_, number) => number);

module.exports = { host, port, protocol, run, loseTheServer, same, plain, until, refused, numbers };
