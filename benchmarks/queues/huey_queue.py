"""huey's SqliteHuey under test: `huey_queue.py FILE wal|delete TASKS`."""

from __future__ import annotations

import sys

import orders
from huey import SqliteHuey


def queue(path: str, journal: str) -> SqliteHuey:
    """Return a huey whose commits are flushed as ours: FULL in WAL mode, EXTRA with the DELETE journal."""
    made = SqliteHuey("huey", filename=path, journal_mode=journal, fsync=True)
    if journal == "delete":
        made.storage.conn.execute("PRAGMA synchronous = EXTRA")
    return made


def main(path: str, journal: str, count: str) -> None:
    """Fill it, then follow orders. It has no enqueueing of many, and what is taken is gone: nothing to finish."""
    huey = queue(path, journal)

    @huey.task()
    def transcribe(path: str) -> None:
        """Stand for the work."""

    data = huey.serialize_task(transcribe.s("d1/a.wav"))
    with huey.storage.db(commit=True) as cursor:
        rows = (("huey", data, 0) for _ in range(int(count)))
        cursor.executemany("insert into task (queue, data, priority) values (?, ?, ?)", rows)
    orders.serve({"enqueue": lambda: transcribe("new/1.wav"), "lease": huey.dequeue})


if __name__ == "__main__":
    main(*sys.argv[1:])
