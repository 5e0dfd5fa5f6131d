"""The worker that teams write by hand: takes 500 rows from a Redis list and upserts them in one statement.

It commits before it takes more, and never knows what it had taken when it dies.
Usage: worker.py REDIS_PORT POSTGRES_URL ROWS; prints "ready", then the seconds from the first row to the last.
"""
import json
import socket
import sys
import time

import psycopg

AT_ONCE = 500


def main():
    port, url, left = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    redis = socket.create_connection(("127.0.0.1", port))
    replies = redis.makefile("rb")
    database = psycopg.connect(url)
    row = "(%s,%s,%s,%s,%s,%s)"
    print("ready", flush=True)
    started = None
    while left > 0:
        redis.sendall(b"*3\r\n$4\r\nLPOP\r\n$5\r\nqueue\r\n$3\r\n%d\r\n" % AT_ONCE)
        count = int(replies.readline()[1:])
        if count <= 0:
            time.sleep(0.001)
            continue
        started = started or time.monotonic()
        rows = {}
        for _ in range(count):
            length = int(replies.readline()[1:])
            item = json.loads(replies.read(length + 2))
            rows[item[0]] = item
        values = ",".join([row] * len(rows))
        flat = [cell for key in sorted(rows) for cell in rows[key]]
        database.execute(
            "INSERT INTO item (id, name, kind, price, stock, changed) VALUES " + values +
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, price = excluded.price,"
            " stock = excluded.stock, changed = excluded.changed", flat)
        database.commit()
        left -= count
    print(time.monotonic() - started, flush=True)


main()
