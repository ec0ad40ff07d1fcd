"""The one thread that writes: it groups what waits into one commit, as a commit costs milliseconds of disk.

What somebody waits for goes before what the service does by itself, in a group of its own: that of a directory's
hundred files takes ten times as long.
"""

from __future__ import annotations

import threading
from collections import deque
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
    """Runs writes in the order they came, each in a savepoint of its own, and answers after the commit.

    Urgent ones go first, but after each group of them the others have their turn.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._jobs: deque[_Job] = deque()
        self._urgent: deque[_Job] = deque()
        self._were_urgent = False  # those of the last group
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="queue-writer", daemon=True)
        self._thread.start()

    def write(self, run: Callable[[Connection], Any], *, urgent: bool = False) -> Any:
        """Run one write and return its result once it is durable; its exception is raised here."""
        assert threading.current_thread() is not self._thread, "a write in a write never ends"  # noqa: S101 - invariant
        job = _Job(run)
        with self._changed:
            if self._closed:
                raise UnavailableError("the queue is closed")
            (self._urgent if urgent else self._jobs).append(job)
            self._changed.notify()
        return job.future.result()

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[_Job]:
        """Wait for jobs and take those that wait together; nothing once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._urgent or self._jobs or self._closed)
            is_turn = bool(self._jobs) and (self._were_urgent or not self._urgent)
            lane = self._jobs if is_turn else self._urgent
            self._were_urgent = not is_turn
            return [lane.popleft() for _ in range(min(GROUP, len(lane)))]

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
