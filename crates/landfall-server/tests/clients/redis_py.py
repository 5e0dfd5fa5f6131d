"""Sends pipelines with redis-py: one line of JSON with its requests comes in, one line with their replies goes out.

It must never send a request again: the client's retries are off, whatever their default is.
"""

import json
import sys

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

host, port, timeout_seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
client = redis.Redis(
    host=host,
    port=port,
    socket_timeout=timeout_seconds,
    decode_responses=True,
    single_connection_client=True,
    retry=Retry(NoBackoff(), 0),
    retry_on_timeout=False,
    retry_on_error=[],
)
# Replies as they came; the client would turn some into other types.
client.response_callbacks.clear()

# The client cuts the prefix off an error for which it has a class.
PREFIXES = {
    "BusyLoadingError": "LOADING",
    "TryAgainError": "TRYAGAIN",
    "MasterDownError": "MASTERDOWN",
    "ExecAbortError": "EXECABORT",
    "ReadOnlyError": "READONLY",
}


def plain(reply):
    if isinstance(reply, Exception):
        prefix = PREFIXES.get(type(reply).__name__)
        return {"error": f"{prefix} {reply}" if prefix else str(reply)}
    if isinstance(reply, list):
        return [plain(item) for item in reply]
    return reply


for line in sys.stdin:
    pipeline = client.pipeline(transaction=False)
    for words in json.loads(line):
        pipeline.execute_command(*words)
    # A connection that fails ends this program: all of the pipeline is unknown then.
    print(json.dumps([plain(reply) for reply in pipeline.execute(raise_on_error=False)]), flush=True)
