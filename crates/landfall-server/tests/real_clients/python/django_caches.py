"""Django's own cache backend for Redis, and django-redis, each as its documents set it up. It must never call what needs
scripts: incr of django-redis, and locks."""

import redis
from steps import HOST, PORT, PROTOCOL, lose_the_server, run, same, until

import django
from django.conf import settings

LOCATION = f"redis://{HOST}:{PORT}/0?protocol={PROTOCOL}"
settings.configure(
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": LOCATION},
        "other": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": LOCATION,
            "KEY_PREFIX": "other",
            "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient"},
        },
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    INSTALLED_APPS=["django.contrib.sessions"],
)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402: it reads the settings
from django.core.cache import caches  # noqa: E402

own, other = caches["default"], caches["other"]


def of_both(test):
    """A step for each cache."""
    for name, cache in (("django", own), ("django_redis", other)):

        def step(cache=cache):
            test(cache)

        step.__name__ = f"{name}_{test.__name__}"
        steps.append(step)
    return test


steps = []


@of_both
def values(cache):
    value = {"name": "Amy", "ages": [1, 2.5, None], "text": "ä" * 10_000}
    cache.set("value", value)
    same(value, cache.get("value"))
    same((None, "absent"), (cache.get("nothing"), cache.get("nothing", "absent")))
    same((False, True), (cache.add("value", 1), cache.add("new", 1)))
    same((True, False), (cache.has_key("new"), "nothing" in cache))
    same((True, False), (bool(cache.delete("new")), bool(cache.delete("new"))))
    same(7, cache.get_or_set("computed", lambda: 7))
    cache.set("version", "two", version=2)
    same((None, "two"), (cache.get("version"), cache.get("version", version=2)))


@of_both
def many(cache):
    # The keys that failed: an empty list, or nothing at all.
    same(True, not cache.set_many({f"many:{number}": number for number in range(100)}, timeout=60))
    same({"many:1": 1, "many:2": 2}, cache.get_many(["many:1", "many:2", "nothing"]))
    cache.delete_many(["many:1", "many:2"])
    same({}, cache.get_many(["many:1", "many:2"]))


@of_both
def timeouts(cache):
    cache.set("short", 1, timeout=100)
    same((True, False), (bool(cache.touch("short", 50)), bool(cache.touch("nothing", 50))))
    cache.set("gone", 1, timeout=0)
    same(None, cache.get("gone"))
    cache.set("forever", 1, timeout=None)
    same(1, cache.get("forever"))
    cache.set("soon", 1, timeout=1)
    until("a value times out", lambda: cache.get("soon") is None)


def django_counters():
    own.set("count", 1)
    same((2, 12, 11), (own.incr("count"), own.incr("count", 10), own.decr("count")))
    try:
        own.incr("nothing")
    except ValueError:
        return
    raise AssertionError("a counter that is not there was counted")


def django_redis_patterns():
    other.set_many({f"page:{number}": number for number in range(30)}, timeout=None)
    same(30, len(other.keys("page:*")))
    same(30, len(list(other.iter_keys("page:*", itersize=10))))
    same(None, other.ttl("page:1"))
    same((True, True), (bool(other.expire("page:1", 100)), other.ttl("page:1") <= 100))
    same(True, bool(other.persist("page:1")))
    same(30, other.delete_pattern("page:*"))


def sessions():
    session = SessionStore()
    session["user"] = 7
    session.save()
    same(7, SessionStore(session_key=session.session_key)["user"])
    session.flush()
    same(False, SessionStore().exists(session.session_key))


def reconnect():
    own.set("kept", "own")
    other.set("kept", "other")
    lose_the_server()

    def is_back():
        try:
            return (own.get("kept"), other.get("kept")) == ("own", "other")
        except (redis.ConnectionError, ConnectionError):
            return False

    until("the caches connect again", is_back)


@of_both
def clear(cache):
    cache.set_many({"value": 1, "count": 2}, timeout=None)
    cache.clear()
    same({}, cache.get_many(["value", "count"]))
    same(True, cache.add("value", 3))
    same(3, cache.get("value"))


run([step for step in steps if "clear" not in step.__name__])
run([django_counters, django_redis_patterns, sessions, reconnect])
# What takes everything away comes last.
run([step for step in steps if "clear" in step.__name__])
