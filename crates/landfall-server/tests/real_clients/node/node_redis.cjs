// The common scenario in node-redis. It must never use anything of the client that its users would not.
'use strict';

const { createClient } = require('redis');
const { host, port, protocol, run, loseTheServer, same, plain, until, refused, numbers } = require('./steps.cjs');

const url = `redis://${host}:${port}`;
const silent = () => {}; // A client without a listener for errors ends its process.
const client = createClient({ url, RESP: protocol });
client.on('error', silent);

async function connect() {
  const defaults = createClient({ url });
  defaults.on('error', silent);
  await defaults.connect();
  same('PONG', await defaults.ping());
  await defaults.close();
  await client.connect();
  same('PONG', await client.ping());
  await client.clientSetName('amy');
  same('amy', await client.clientGetName());
  same(protocol, (await client.clientInfo()).resp);
  same(true, (await client.info('server')).includes('redis_version:7.2'));
  same({ timeout: '0' }, plain(await client.configGet('timeout')));
}

async function strings() {
  same('OK', await client.set('text', 'ä € 😀'));
  same('ä € 😀', await client.get('text'));
  same(null, await client.get('nothing'));
  same(null, await client.set('text', 'other', { condition: 'NX' }));
  same('ä € 😀', await client.set('text', 'a', { GET: true }));
  same(3, await client.append('text', 'bc'));
  same('bc', await client.getRange('text', 1, -1));
  same('OK', await client.mSet({ one: '1', two: '2' }));
  same(['1', null, '2'], await client.mGet(['one', 'nothing', 'two']));
  same('2', await client.getDel('two'));
  const value = 'v'.repeat(1 << 20);
  await client.set('large', value);
  same(true, (await client.get('large')) === value);
}

async function counters() {
  same(numbers(50).map((number) => number + 1), await Promise.all(numbers(50).map(() => client.incr('count'))));
  same(40, await client.decrBy('count', 10));
  same('0.1', String(await client.incrByFloat('float', 0.1)));
  same(2, await client.hIncrBy('counts', 'a', 2));
}

async function hashes() {
  same(2, await client.hSet('hash', { name: 'Amy', age: '7' }));
  same('Amy', await client.hGet('hash', 'name'));
  same(['7', null], await client.hmGet('hash', ['age', 'nothing']));
  same({ name: 'Amy', age: '7' }, plain(await client.hGetAll('hash')));
  same({}, plain(await client.hGetAll('nothing')));
  same([1, 0], [await client.hExists('hash', 'age'), await client.hExists('hash', 'nothing')].map(Number));
  const found = [];
  for await (const page of client.hScanIterator('hash')) found.push(...page.map(({ field, value }) => field + value));
  same(['Amy', '7'].map((value, at) => ['name', 'age'][at] + value).sort(), found.sort());
  same(1, await client.hDel('hash', 'age'));
  same([{ field: 'name', value: 'Amy' }], (await client.hRandFieldCountWithValues('hash', 1)).map(plain));
}

async function rows() {
  same(2, await client.hSet('traveller:1', { name: 'Amy', miles: '10' }));
  same(12, await client.hIncrBy('traveller:1', 'miles', 2));
  same({ id: '1', name: 'Amy', miles: '12' }, plain(await client.hGetAll('traveller:1')));
  same('Amy', await client.get('traveller:1:name'));
  same(2, (await client.xAdd('visit', '*', { at: '1', who: 'amy' })).split('-').length);
  // It has landed in the one database.
  same(1, await client.wait(1, 20_000));
}

async function expiry() {
  same('OK', await client.set('short', 'v', { expiration: { type: 'EX', value: 100 } }));
  same(100, await client.ttl('short'));
  same(1, Number(await client.persist('short')));
  same([-1, -2], [await client.ttl('short'), await client.ttl('nothing')]);
  same([1, 0], [await client.expire('short', 50, 'NX'), await client.expire('short', 50, 'NX')].map(Number));
  same('v', await client.getEx('short', { type: 'PX', value: 60_000 }));
  same(1, Number(await client.pExpire('short', 20)));
  await until('a key expires', async () => (await client.exists('short')) === 0);
}

async function keys() {
  await client.mSet(numbers(300).map((number) => [`scan:${number}`, 'v']));
  const found = new Set();
  for await (const page of client.scanIterator({ MATCH: 'scan:*', COUNT: 50 })) page.forEach((key) => found.add(key));
  same(300, found.size);
  same('hash', await client.type('hash'));
  same('OK', await client.rename('scan:0', 'renamed'));
  same(2, await client.del(['renamed', 'scan:1', 'nothing']));
}

async function transactions() {
  same(['OK', 15, '15'], await client.multi().set('balance', 10).incrBy('balance', 5).get('balance').exec());
  const other = client.duplicate();
  other.on('error', silent);
  await other.connect();
  await other.watch('balance');
  await client.set('balance', '1');
  await refused(/WatchError|watched keys/, other.multi().set('balance', '16').exec());
  same('1', await client.get('balance'));
  await other.watch('balance');
  same(['OK'], await other.multi().set('balance', '3').exec());
  await other.close();
}

async function subscribed(listener) {
  const subscriber = client.duplicate();
  subscriber.on('error', silent);
  await subscriber.connect();
  await subscriber.subscribe('news', (text, channel) => listener([channel, text]));
  await subscriber.pSubscribe('news.*', (text, channel) => listener([channel, text]));
  return subscriber;
}

async function messages() {
  const heard = [];
  const subscriber = await subscribed((message) => heard.push(message));
  same({ news: 1 }, plain(await client.pubSubNumSub(['news'])));
  same([1, 1], [await client.publish('news', 'one'), await client.publish('news.sport', 'two')]);
  await until('both messages', () => heard.length === 2);
  same([['news', 'one'], ['news.sport', 'two']], heard);
  await subscriber.unsubscribe('news');
  same(0, await client.publish('news', 'nobody listens'));
  await subscriber.close();
}

async function pipelines() {
  // Commands of one turn leave as one pipeline.
  const calls = numbers(1000).flatMap((at) => [client.set(`pipe:${at}`, at), client.get(`pipe:${at}`)]);
  same(numbers(1000).flatMap((at) => ['OK', String(at)]), await Promise.all(calls));
  same(['OK', '1'], await client.multi().set('pipe', 1).get('pipe').execAsPipeline());
}

async function errors() {
  await client.set('text', 'a');
  await refused(/WRONGTYPE/, client.hGet('text', 'a'));
  await refused(/ERR value is not an integer/, client.incr('text'));
  await refused(/ERR unknown command 'NOSUCH'/, client.sendCommand(['NOSUCH', 'a']));
  const several = await Promise.allSettled([client.get('text'), client.hGet('text', 'a'), client.get('text')]);
  same(['fulfilled', 'rejected', 'fulfilled'], several.map(({ status }) => status));
  await refused(/EXECABORT|unknown command/, client.multi().set('never', 'v').addCommand(['NOSUCH']).exec());
  same(0, await client.exists('never'));
  const socket = { reconnectStrategy: false };
  const stranger = createClient({ url, RESP: protocol, username: 'nobody', password: 'wrong', socket });
  stranger.on('error', silent);
  await refused(/WRONGPASS/, stranger.connect());
  if (stranger.isOpen) stranger.destroy();
  same('PONG', await client.ping());
}

async function reconnect() {
  const heard = [];
  const subscriber = await subscribed((message) => heard.push(message));
  await client.set('kept', 'through kill -9');
  await loseTheServer();
  const isBack = async () => (await client.get('kept').catch(silent)) === 'through kill -9';
  await until('the client connects again', isBack);
  same(['OK', '2'], await client.multi().set('kept', 2).get('kept').exec());
  await until('the subscription is made again', async () => {
    await client.publish('news', 'again');
    return heard.length > 0;
  });
  same(['news', 'again'], heard[0]);
  await subscriber.close();
  await client.close();
}

run([connect, strings, counters, hashes, rows, expiry, keys, transactions, messages, pipelines, errors, reconnect]);
