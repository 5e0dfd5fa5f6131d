"""Prints one line for each step of a client: what the runner reads. It must never let an exception of one step end the
others, and never call a step that raised one `ok`."""

import asyncio
import sys
import time

HOST, PORT, PROTOCOL = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# A condition that does not come within this time will not come.
PATIENCE_SECONDS = 20


def told(name, error):
    if error is None:
        print(f"ok {name}", flush=True)
    else:
        trace = error.__traceback__
        while trace.tb_next and "site-packages" not in trace.tb_next.tb_frame.f_code.co_filename:
            if trace.tb_next.tb_frame.f_code.co_filename.find("real_clients") < 0:
                break
            trace = trace.tb_next
        why = f"line {trace.tb_lineno}: {type(error).__name__}: {error}".replace("\n", " ")
        print(f"FAILED {name}: {why}", flush=True)


def run(steps):
    """Runs functions; the name of each is the name of its step."""
    for step in steps:
        try:
            step()
            told(step.__name__, None)
        except Exception as error:
            told(step.__name__, error)


async def run_async(steps):
    for step in steps:
        try:
            await asyncio.wait_for(step(), PATIENCE_SECONDS)
            told(step.__name__, None)
        except Exception as error:
            told(step.__name__, error)


def lose_the_server():
    """Asks the runner to kill the server and to start it again, and waits until that is done."""
    print("kill", flush=True)
    same("back", sys.stdin.readline().strip())


def same(wanted, got):
    if wanted != got:
        raise AssertionError(f"{wanted!r} was expected and not {got!r}")


def until(what, is_so):
    begun = time.monotonic()
    while not is_so():
        if time.monotonic() - begun > PATIENCE_SECONDS:
            raise AssertionError(f"waited in vain: {what}")


def refused(kind, beginning, call):
    """That a call raises this kind of error with a message that begins so."""
    try:
        got = call()
    except kind as error:
        if not str(error).startswith(beginning):
            raise AssertionError(f"{beginning!r} was expected and not {error!r}") from error
    else:
        raise AssertionError(f"{beginning!r} was expected and not {got!r}")
