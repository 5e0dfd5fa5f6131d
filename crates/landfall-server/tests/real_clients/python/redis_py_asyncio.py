"""The common scenario in redis-py's asyncio client. It must never use anything of the client that its users would not."""

import asyncio
import time

import redis.asyncio as redis
from redis.exceptions import AuthenticationError, ConnectionError, ResponseError, WatchError
from steps import HOST, PATIENCE_SECONDS, PORT, PROTOCOL, lose_the_server, run_async, same

client = redis.Redis(host=HOST, port=PORT, protocol=PROTOCOL, decode_responses=True)


async def refused(kind, beginning, call):
    try:
        got = await call
    except kind as error:
        same(beginning, str(error)[: len(beginning)])
    else:
        raise AssertionError(f"{beginning!r} was expected and not {got!r}")


async def until(what, is_so):
    begun = time.monotonic()
    while not await is_so():
        if time.monotonic() - begun > PATIENCE_SECONDS:
            raise AssertionError(f"waited in vain: {what}")


async def connect():
    async with redis.Redis(host=HOST, port=PORT) as defaults:
        same(True, await defaults.ping())
    same(True, await client.ping())
    same(str(PROTOCOL), (await client.client_info())["resp"])
    same("7.2", (await client.info("server"))["redis_version"][:3])


async def strings():
    same(True, await client.set("text", "ä € 😀"))
    same(["ä € 😀", None], await client.mget("text", "nothing"))
    same("ä € 😀", await client.set("text", "a", get=True))
    same(3, await client.append("text", "bc"))
    # Many tasks over many connections of the pool.
    await asyncio.gather(*(client.set(f"task:{number}", number) for number in range(50)))
    same([str(number) for number in range(50)], await client.mget([f"task:{number}" for number in range(50)]))


async def counters():
    same(list(range(1, 51)), sorted(await asyncio.gather(*(client.incr("count") for _ in range(50)))))
    same(40, await client.decrby("count", 10))
    same(0.1, await client.incrbyfloat("float", "0.1"))
    same(2, await client.hincrby("counts", "a", 2))


async def hashes():
    same(2, await client.hset("hash", mapping={"name": "Amy", "age": 7}))
    same({"name": "Amy", "age": "7"}, await client.hgetall("hash"))
    same({}, await client.hgetall("nothing"))
    same({"name": "Amy", "age": "7"}, {name: value async for name, value in client.hscan_iter("hash")})
    same(1, await client.hdel("hash", "age"))


async def rows():
    same(2, await client.hset("traveller:1", mapping={"name": "Amy", "miles": 10}))
    same(12, await client.hincrby("traveller:1", "miles", 2))
    same({"id": "1", "name": "Amy", "miles": "12"}, await client.hgetall("traveller:1"))
    same(2, len((await client.xadd("visit", {"at": 1, "who": "amy"})).split("-")))
    same(1, await client.wait(1, 20_000))


async def expiry():
    same(True, await client.set("short", "v", ex=100))
    same(100, await client.ttl("short"))
    same(True, await client.pexpire("short", 20))

    async def is_gone():
        return await client.exists("short") == 0

    await until("a key expires", is_gone)


async def keys():
    await client.mset({f"scan:{number}": "v" for number in range(300)})
    same({f"scan:{number}" for number in range(300)}, {key async for key in client.scan_iter("scan:*", count=50)})
    same("hash", await client.type("hash"))
    same(1, await client.delete("scan:1", "nothing"))


async def transactions():
    async with client.pipeline(transaction=True) as transaction:
        same([True, 15, "15"], await transaction.set("balance", 10).incrby("balance", 5).get("balance").execute())
    async with client.pipeline() as transaction:
        await transaction.watch("balance")
        await client.set("balance", 1)
        transaction.multi()
        transaction.set("balance", 16)
        await refused(WatchError, "", transaction.execute())
    same("1", await client.get("balance"))


async def messages():
    async with client.pubsub() as subscriber:
        await subscriber.subscribe("news")
        await subscriber.psubscribe("news.*")
        same(["subscribe", "psubscribe"], [(await subscriber.get_message(timeout=20))["type"] for _ in range(2)])
        same((1, 1), (await client.publish("news", "one"), await client.publish("news.sport", "two")))
        got = [await subscriber.get_message(timeout=20) for _ in range(2)]
        same([("message", "news", "one"), ("pmessage", "news.sport", "two")],
             [(each["type"], each["channel"], each["data"]) for each in got])


async def pipelines():
    async with client.pipeline(transaction=False) as pipeline:
        for number in range(1000):
            pipeline.set(f"pipe:{number}", number).get(f"pipe:{number}")
        same([reply for number in range(1000) for reply in (True, str(number))], await pipeline.execute())


async def errors():
    await refused(ResponseError, "WRONGTYPE", client.hget("text", "a"))
    await refused(ResponseError, "unknown command", client.execute_command("NOSUCH", "a"))
    async with client.pipeline(transaction=False) as pipeline:
        replies = await pipeline.get("task:1").hget("task:1", "a").get("task:1").execute(raise_on_error=False)
    same(["1", "ResponseError", "1"], [each if isinstance(each, str) else type(each).__name__ for each in replies])
    async with redis.Redis(host=HOST, port=PORT, protocol=PROTOCOL, username="nobody", password="wrong") as stranger:
        await refused(AuthenticationError, "", stranger.ping())
    same(True, await client.ping())


async def reconnect():
    subscriber = client.pubsub()
    await subscriber.subscribe("after")
    same("subscribe", (await subscriber.get_message(timeout=20))["type"])
    await client.set("kept", "through kill -9")
    lose_the_server()

    async def is_back():
        try:
            return await client.get("kept") == "through kill -9"
        except ConnectionError:
            return False

    await until("the client connects again", is_back)
    async with client.pipeline() as transaction:
        same([True, "2"], await transaction.set("kept", 2).get("kept").execute())

    async def hears():
        try:
            await client.publish("after", "again")
            message = await subscriber.get_message(timeout=0.1)
        except ConnectionError:
            return False
        return message is not None and message["type"] == "message" and message["data"] == "again"

    await until("the subscription is made again", hears)
    await subscriber.aclose()


asyncio.run(
    run_async(
        [connect, strings, counters, hashes, rows, expiry, keys, transactions, messages, pipelines, errors, reconnect]
    )
)
