"""The common scenario in redis-py. It must never use anything of the client that its users would not."""

import redis
from steps import HOST, PORT, PROTOCOL, lose_the_server, refused, run, same, until

client = redis.Redis(host=HOST, port=PORT, protocol=PROTOCOL, decode_responses=True)


def connect():
    with redis.Redis(host=HOST, port=PORT) as defaults:
        same(True, defaults.ping())
    with redis.Redis.from_url(f"redis://{HOST}:{PORT}/0?protocol={PROTOCOL}&health_check_interval=1") as by_url:
        same(True, by_url.ping())
    same(True, client.ping())
    same(True, client.client_setname("amy"))
    same("amy", client.client_getname())
    same(str(PROTOCOL), client.client_info()["resp"])
    same("7.2", client.info("server")["redis_version"][:3])
    same({"timeout": "0"}, client.config_get("timeout"))


def strings():
    same(True, client.set("text", "ä € 😀"))
    same("ä € 😀", client.get("text"))
    same(None, client.get("nothing"))
    same(None, client.set("text", "other", nx=True))
    same("ä € 😀", client.set("text", "a", get=True))
    same(3, client.append("text", "bc"))
    same("bc", client.getrange("text", 1, -1))
    same(True, client.mset({"one": "1", "two": "2"}))
    same(["1", None, "2"], client.mget("one", "nothing", "two"))
    same("2", client.getdel("two"))
    with redis.Redis(host=HOST, port=PORT, protocol=PROTOCOL) as raw:
        value = bytes(range(256)) * 4096
        same(True, raw.set(b"\x00\r\n", value))
        same(value, raw.get(b"\x00\r\n"))


def counters():
    same(1, client.incr("count"))
    same(42, client.incrby("count", 41))
    same(40, client.decrby("count", 2))
    same((0.1, 0.3), (client.incrbyfloat("float", "0.1"), client.incrbyfloat("float", "0.2")))
    same(2, client.hincrby("counts", "a", 2))
    same(2.5, client.hincrbyfloat("counts", "a", 0.5))


def hashes():
    same(2, client.hset("hash", mapping={"name": "Amy", "age": 7}))
    same("Amy", client.hget("hash", "name"))
    same(["7", None], client.hmget("hash", "age", "nothing"))
    same({"name": "Amy", "age": "7"}, client.hgetall("hash"))
    same({}, client.hgetall("nothing"))
    same((True, False), (client.hexists("hash", "age"), client.hexists("hash", "nothing")))
    same(2, client.hlen("hash"))
    same(["age", "name"], sorted(client.hkeys("hash")))
    same({"name": "Amy", "age": "7"}, dict(client.hscan_iter("hash")))
    same(1, client.hdel("hash", "age"))
    same([["name", "Amy"]] if PROTOCOL == 3 else ["name", "Amy"], client.hrandfield("hash", 1, withvalues=True))


def rows():
    same(2, client.hset("traveller:1", mapping={"name": "Amy", "miles": 10}))
    same(12, client.hincrby("traveller:1", "miles", 2))
    same({"id": "1", "name": "Amy", "miles": "12"}, client.hgetall("traveller:1"))
    same("Amy", client.get("traveller:1:name"))
    same(2, len(client.xadd("visit", {"at": 1, "who": "amy"}).split("-")))
    # It has landed in the one database.
    same(1, client.wait(1, 20_000))


def expiry():
    same(True, client.set("short", "v", ex=100))
    same(100, client.ttl("short"))
    same(True, client.persist("short"))
    same((-1, -2), (client.ttl("short"), client.ttl("nothing")))
    same((True, False), (client.expire("short", 50, nx=True), client.expire("short", 50, nx=True)))
    same("v", client.getex("short", px=60_000))
    same(True, 59_000 < client.pttl("short") <= 60_000)
    same(True, client.pexpire("short", 20))
    until("a key expires", lambda: client.exists("short") == 0)


def keys():
    client.mset({f"scan:{number}": "v" for number in range(300)})
    same({f"scan:{number}" for number in range(300)}, set(client.scan_iter("scan:*", count=50)))
    same("hash", client.type("hash"))
    same(True, client.rename("scan:0", "renamed"))
    same(1, client.copy("renamed", "copied"))
    same(3, client.delete("renamed", "copied", "scan:1", "nothing"))
    same(True, client.dbsize() >= 298)


def transactions():
    with client.pipeline() as transaction:
        transaction.set("balance", 10).incrby("balance", 5).hset("log", "last", "5").get("balance")
        same([True, 15, 1, "15"], transaction.execute())
    with client.pipeline() as transaction:
        transaction.watch("balance")
        same("15", transaction.get("balance"))
        client.set("balance", 1)
        transaction.multi()
        transaction.set("balance", 16)
        refused(redis.WatchError, "", transaction.execute)
    same("1", client.get("balance"))

    def add_two(transaction):
        balance = int(transaction.get("balance"))
        transaction.multi()
        transaction.set("balance", balance + 2)

    same([True], client.transaction(add_two, "balance"))
    same("3", client.get("balance"))


def messages():
    with client.pubsub() as subscriber:
        subscriber.subscribe("news")
        subscriber.psubscribe("news.*")
        same(["subscribe", "psubscribe"], [subscriber.get_message(timeout=20)["type"] for _ in range(2)])
        same({"news": 1}, dict(client.pubsub_numsub("news")))
        same((1, 1), (client.publish("news", "one"), client.publish("news.sport", "two")))
        got = [subscriber.get_message(timeout=20) for _ in range(2)]
        same([("message", "news", "one"), ("pmessage", "news.sport", "two")],
             [(each["type"], each["channel"], each["data"]) for each in got])
        if PROTOCOL == 2:  # In RESP3 a PING is answered as ever, and redis-py takes that for a message.
            subscriber.ping()
            same("pong", subscriber.get_message(timeout=20)["type"])
        subscriber.unsubscribe()
        same("unsubscribe", subscriber.get_message(timeout=20)["type"])
    same(0, client.publish("news", "nobody listens"))


def pipelines():
    with client.pipeline(transaction=False) as pipeline:
        for number in range(1000):
            pipeline.set(f"pipe:{number}", number).get(f"pipe:{number}")
        same([reply for number in range(1000) for reply in (True, str(number))], pipeline.execute())


def errors():
    client.set("text", "a")
    refused(redis.ResponseError, "WRONGTYPE", lambda: client.hget("text", "a"))
    refused(redis.ResponseError, "value is not an integer", lambda: client.incr("text"))
    refused(redis.ResponseError, "unknown command", lambda: client.execute_command("NOSUCH", "a"))
    refused(redis.ResponseError, "wrong number", lambda: client.execute_command("GET"))
    with client.pipeline(transaction=False) as pipeline:
        replies = pipeline.get("text").hget("text", "a").get("text").execute(raise_on_error=False)
    same(["a", "ResponseError", "a"], [each if isinstance(each, str) else type(each).__name__ for each in replies])
    with client.pipeline() as transaction:
        transaction.set("never", "v").execute_command("NOSUCH")
        refused(redis.ResponseError, "", transaction.execute)
    same(0, client.exists("never"))
    with redis.Redis(host=HOST, port=PORT, protocol=PROTOCOL, username="nobody", password="wrong") as stranger:
        refused(redis.AuthenticationError, "", stranger.ping)
    same(True, client.ping())


def reconnect():
    subscriber = client.pubsub()
    subscriber.subscribe("after")
    same("subscribe", subscriber.get_message(timeout=20)["type"])
    client.set("kept", "through kill -9")
    lose_the_server()

    def is_back():
        try:
            return client.get("kept") == "through kill -9"
        except redis.ConnectionError:
            return False

    until("the client connects again", is_back)
    with client.pipeline() as transaction:
        same([True, "2"], transaction.set("kept", 2).get("kept").execute())

    def hears():
        try:
            client.publish("after", "again")
            message = subscriber.get_message(timeout=0.1)
        except redis.ConnectionError:
            return False
        return message is not None and message["type"] == "message" and message["data"] == "again"

    until("the subscription is made again", hears)
    subscriber.close()


run([connect, strings, counters, hashes, rows, expiry, keys, transactions, messages, pipelines, errors, reconnect])
