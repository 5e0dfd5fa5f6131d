// The common scenario in ioredis. It must never use anything of the client that its users would not.
'use strict';

const { Redis } = require('ioredis');
const { host, port, protocol, run, loseTheServer, same, plain, until, refused, numbers } = require('./steps.cjs');

const silent = () => {}; // A client without a listener for errors prints each.
const made = (options) => new Redis({ host, port, protocol, ...options }).on('error', silent);
const client = made();

async function connect() {
  const defaults = new Redis(port, host).on('error', silent);
  same('PONG', await defaults.ping());
  await defaults.quit();
  same('PONG', await client.ping());
  await client.client('SETNAME', 'amy');
  same('amy', await client.client('GETNAME'));
  same(true, (await client.client('INFO')).includes(`resp=${protocol}`));
  same(true, (await client.info('server')).includes('redis_version:7.2'));
}

async function strings() {
  same('OK', await client.set('text', 'ä € 😀'));
  same(['ä € 😀', null], await client.mget('text', 'nothing'));
  same(null, await client.set('text', 'other', 'NX'));
  same('ä € 😀', await client.set('text', 'a', 'GET'));
  same(3, await client.append('text', 'bc'));
  same('bc', await client.getrange('text', 1, -1));
  same('OK', await client.mset({ one: 1, two: 2 }));
  same('2', await client.getdel('two'));
  const value = Buffer.alloc(1 << 20, numbers(256));
  await client.set(Buffer.from([0, 13, 10]), value);
  same(true, value.equals(await client.getBuffer(Buffer.from([0, 13, 10]))));
}

async function counters() {
  same(numbers(50).map((number) => number + 1), await Promise.all(numbers(50).map(() => client.incr('count'))));
  same(40, await client.decrby('count', 10));
  same('0.1', String(await client.incrbyfloat('float', 0.1)));
  same(2, await client.hincrby('counts', 'a', 2));
}

async function hashes() {
  same(2, await client.hset('hash', { name: 'Amy', age: 7 }));
  same('Amy', await client.hget('hash', 'name'));
  same(['7', null], await client.hmget('hash', 'age', 'nothing'));
  same({ name: 'Amy', age: '7' }, plain(await client.hgetall('hash')));
  same({}, plain(await client.hgetall('nothing')));
  const found = [];
  for await (const page of client.hscanStream('hash')) found.push(...page);
  same(['7', 'Amy', 'age', 'name'], found.sort());
  same(1, await client.hdel('hash', 'age'));
}

async function rows() {
  same(2, await client.hset('traveller:1', { name: 'Amy', miles: 10 }));
  same(12, await client.hincrby('traveller:1', 'miles', 2));
  same({ id: '1', name: 'Amy', miles: '12' }, plain(await client.hgetall('traveller:1')));
  same(2, (await client.xadd('visit', '*', 'at', 1, 'who', 'amy')).split('-').length);
  // It has landed in the one database.
  same(1, await client.wait(1, 20_000));
}

async function expiry() {
  same('OK', await client.set('short', 'v', 'EX', 100));
  same(100, await client.ttl('short'));
  same(1, await client.persist('short'));
  same([-1, -2], [await client.ttl('short'), await client.ttl('nothing')]);
  same('v', await client.getex('short', 'PX', 60_000));
  same(1, await client.pexpire('short', 20));
  await until('a key expires', async () => (await client.exists('short')) === 0);
}

async function keys() {
  await client.mset(Object.fromEntries(numbers(300).map((number) => [`scan:${number}`, 'v'])));
  const found = new Set();
  for await (const page of client.scanStream({ match: 'scan:*', count: 50 })) page.forEach((key) => found.add(key));
  same(300, found.size);
  same('hash', await client.type('hash'));
  same(1, await client.del('scan:1', 'nothing'));
}

async function transactions() {
  const done = await client.multi().set('balance', 10).incrby('balance', 5).get('balance').exec();
  same([[null, 'OK'], [null, 15], [null, '15']], done);
  const other = made();
  await other.watch('balance');
  await client.set('balance', 1);
  same(null, await other.multi().set('balance', 16).exec());
  same('1', await client.get('balance'));
  await other.quit();
}

async function subscribed(listener) {
  const subscriber = made();
  subscriber.on('message', (channel, text) => listener([channel, text]));
  subscriber.on('pmessage', (_, channel, text) => listener([channel, text]));
  same([1, 2], [await subscriber.subscribe('news'), await subscriber.psubscribe('news.*')]);
  return subscriber;
}

async function messages() {
  const heard = [];
  const subscriber = await subscribed((message) => heard.push(message));
  same([1, 1], [await client.publish('news', 'one'), await client.publish('news.sport', 'two')]);
  await until('both messages', () => heard.length === 2);
  same([['news', 'one'], ['news.sport', 'two']], heard);
  await subscriber.unsubscribe('news');
  same(0, await client.publish('news', 'nobody listens'));
  await subscriber.quit();
}

async function pipelines() {
  const pipeline = client.pipeline();
  numbers(1000).forEach((at) => pipeline.set(`pipe:${at}`, at).get(`pipe:${at}`));
  same(numbers(1000).flatMap((at) => [[null, 'OK'], [null, String(at)]]), await pipeline.exec());
  const automatic = made({ enableAutoPipelining: true });
  same(numbers(1000).map(String), await Promise.all(numbers(1000).map((at) => automatic.get(`pipe:${at}`))));
  await automatic.quit();
}

async function errors() {
  await client.set('text', 'a');
  await refused(/WRONGTYPE/, client.hget('text', 'a'));
  await refused(/ERR value is not an integer/, client.incr('text'));
  await refused(/ERR unknown command 'NOSUCH'/, client.call('NOSUCH', 'a'));
  const several = await client.pipeline().get('text').hget('text', 'a').get('text').exec();
  same([true, false, true], several.map(([error]) => error === null));
  await refused(/EXECABORT/, client.multi().set('never', 'v').call('NOSUCH').exec());
  same(0, await client.exists('never'));
  const stranger = made({ username: 'nobody', password: 'wrong' });
  await refused(/WRONGPASS/, new Promise((_, reject) => stranger.once('error', reject)));
  stranger.disconnect();
  same('PONG', await client.ping());
}

async function reconnect() {
  const heard = [];
  const subscriber = await subscribed((message) => heard.push(message));
  await client.set('kept', 'through kill -9');
  await loseTheServer();
  const isBack = async () => (await client.get('kept').catch(silent)) === 'through kill -9';
  await until('the client connects again', isBack);
  same([[null, 'OK'], [null, '2']], await client.multi().set('kept', 2).get('kept').exec());
  await until('the subscription is made again', async () => {
    await client.publish('news', 'again');
    return heard.length > 0;
  });
  same(['news', 'again'], heard[0]);
  await subscriber.quit();
  await client.quit();
}

run([connect, strings, counters, hashes, rows, expiry, keys, transactions, messages, pipelines, errors, reconnect]);
