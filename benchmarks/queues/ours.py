"""Our queue under test: `ours.py URL [wal|delete]`."""

from __future__ import annotations

import itertools
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import orders

from pipeline.queue import sqlite
from pipeline.queue.database import open_database
from pipeline.queue.rows import lease_of
from pipeline.queue.store import NewFile, TaskStore
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source

MANY, SOME, CALLERS = 500, 8, 32


class Ours:
    """The calls, as ingest and relay make them."""

    def __init__(self, url: str) -> None:
        self._store = TaskStore(open_database(url))
        self._store.open_epoch()
        self._numbers = itertools.count()
        self._leased: deque[MediaFile] = deque()
        self._callers = ThreadPoolExecutor(CALLERS)

    def enqueue(self, files: int = 1) -> None:
        """Open a task for a new directory with its files: one transaction."""
        dirname = b"new%d" % next(self._numbers)
        new = [self._file(dirname + b"/%d.wav" % number) for number in range(files)]
        self._store.open_task(dirname, Source.API, {}, files=new)

    def enqueue_many(self) -> None:
        """Open a task for a directory of 500 files."""
        self.enqueue(MANY)

    def enqueue_at_once(self) -> None:
        """Have 32 threads open a task each: what waits goes into one commit."""
        list(self._callers.map(lambda _: self.enqueue(), range(CALLERS)))

    def lease(self, limit: int = 1) -> None:
        """Lease the next file."""
        self._leased += self._store.lease("worker", limit, solo=False)

    def lease_some(self) -> None:
        """Lease the next eight in one transaction, as a stage with that much credit gets them."""
        self.lease(SOME)

    def finish(self) -> None:
        """End a leased file well: once before and once after its outputs are put in place."""
        leased = self._leased.popleft()
        known = {"output_sha256": "0" * 64, "sha256": "1" * 64, "fingerprint": leased.fingerprint}
        self._store.begin_commit(lease_of(leased), **known, duration=60.0, language="en")
        self._store.finish_commit(lease_of(leased), outputs=[], warnings=[])

    @staticmethod
    def _file(path: bytes) -> NewFile:
        return NewFile(path=path, fingerprint=Fingerprint(1, 1), state=FileState.QUEUED, options={})


if __name__ == "__main__":
    if len(sys.argv) > 2:  # this SQLite may not be safe in WAL mode, but it is as fast as one that is
        sqlite.journal_for = lambda _version: (
            {"wal": sqlite.WAL, "delete": sqlite.DELETE}[sys.argv[2]],
            None,
        )
    ours = Ours(sys.argv[1])
    names = ("enqueue", "enqueue_many", "enqueue_at_once", "lease", "lease_some", "finish")
    orders.serve({name: getattr(ours, name) for name in names})
