"""When a file that failed for a passing reason is tried again; kept in memory, on the monotonic clock."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from pipeline.errors import IllegalTransitionError
from pipeline.tasks import FileState, MediaFile

if TYPE_CHECKING:
    from pipeline.queue.store import TaskStore

FIRST_DELAY_S = 4.0
LONGEST_DELAY_S = 300.0
JITTER = 0.25
WORKER_LOST = "worker_lost"
SPREAD_S = 5.0  # over which the files that waited at the start of the core come back


class Retries:
    """The files in retry_wait and when each is due."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._due: dict[int, float] | None = None  # None until the first step has read what waited before

    def later(self, file: MediaFile, now: float) -> None:
        """Have this file queued again after a delay that doubles with each attempt.

        The first stage that is lost with it costs none: finding that out took long enough.
        """
        delay = min(FIRST_DELAY_S * 2.0 ** max(0, file.attempts - 1), LONGEST_DELAY_S)
        at_once = file.attempts <= 1 and file.error is not None and file.error.code == WORKER_LOST
        self._waiting(now)[file.id] = now if at_once else now + delay * _around_one()

    def step(self, now: float) -> None:
        """Queue again what is due."""
        waiting = self._waiting(now)
        for file_id in [file_id for file_id, at in waiting.items() if at <= now]:
            self._requeue(file_id)
            del waiting[file_id]

    def _requeue(self, file_id: int) -> None:
        try:
            self._store.retry_now([file_id])
        except IllegalTransitionError:
            return  # cancelled, superseded or retried by hand meanwhile

    def _waiting(self, now: float) -> dict[int, float]:
        if self._due is None:
            left = self._store.in_state(FileState.RETRY_WAIT)
            self._due = {file.id: now + SPREAD_S * random.random() for file in left}  # noqa: S311 - no secret
        return self._due


def _around_one() -> float:
    return random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
