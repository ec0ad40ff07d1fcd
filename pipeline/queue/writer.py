"""The one thread that writes: it groups what waits into one commit, as a commit costs milliseconds of disk."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from pipeline.queue.backend import Backend

GROUP = 128  # writes in one commit: bounds how long the first of them waits


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[Connection], Any]
    future: Future[Any] = field(default_factory=Future)


class Writer:
    """Runs writes in the order they came, each in a savepoint of its own, and answers after the commit."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="queue-writer", daemon=True)
        self._thread.start()

    def write(self, run: Callable[[Connection], Any]) -> Any:
        """Run one write and return its result once it is durable; its exception is raised here."""
        assert threading.current_thread() is not self._thread, "a write in a write never ends"  # noqa: S101 - invariant
        job = _Job(run)
        with self._closing:
            if self._closed:
                raise UnavailableError("the queue is closed")
            self._jobs.put(job)
        return job.future.result()

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        with self._closing:
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[_Job]:
        """Wait for a job, then take what else waits; nothing once closed (the closing None stays last)."""
        group: list[_Job] = []
        job = self._jobs.get()
        while job:
            group.append(job)
            if len(group) == GROUP or self._jobs.empty():
                return group
            job = self._jobs.get()
        if group:
            self._jobs.put(None)
        return group

    def _commit(self, group: list[_Job]) -> None:
        ticket = None
        try:
            with self._backend.writers.begin() as connection:
                answer = self._answer if len(group) > 1 else _answer_alone
                answers = [answer(connection, job) for job in group]
                ticket = self._backend.ticket(connection)
        except Exception as error:  # noqa: BLE001 - nothing of the group is durable: every caller is told
            if ticket is None or not self._backend.took_place(ticket):
                answers = [
                    partial(job.future.set_exception, self._backend.translated(error)) for job in group
                ]
        for tell in answers:
            tell()

    def _answer(self, connection: Connection, job: _Job) -> Callable[[], None]:
        """Run one write; where its error ended the whole transaction (a full disk does in SQLite), raise that."""
        savepoint = connection.begin_nested()
        try:
            value = job.run(connection)
            savepoint.commit()
        except Exception as error:
            if not self._backend.in_transaction(connection):
                raise
            savepoint.rollback()
            return partial(job.future.set_exception, self._backend.translated(error))
        return partial(job.future.set_result, value)


def _answer_alone(connection: Connection, job: _Job) -> Callable[[], None]:
    """Run the only write of a transaction, which needs no savepoint: its error ends the transaction."""
    return partial(job.future.set_result, job.run(connection))
