"""Room for those who wait for an answer: all threads share one interpreter, so what goes on by itself makes pauses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

WORK_S = 0.005  # of processor time between two pauses
REST = 3  # a pause is so many times as long
REST_MAX_S = 0.05
LATELY_S = 0.25  # who asked then is likely to wait still, or to ask again

T = TypeVar("T")


class Precedence:
    """Knows whether anybody asks. `asked` may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked_at = float("-inf")

    def asked(self) -> None:
        """Note that somebody asks."""
        self._asked_at = self._clock()

    def is_claimed(self) -> bool:
        """Tell whether somebody asked lately."""
        return self._clock() - self._asked_at < LATELY_S


class Pace:
    """The pauses of one thread: after each piece of work, as long as somebody asks; else it goes on."""

    def __init__(
        self,
        precedence: Precedence,
        *,
        work: Callable[[], float] = time.thread_time,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._precedence = precedence
        self._work = work
        self._rest = rest
        self._rested_at = 0.0

    def through(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, with pauses between them; hold no lock meanwhile."""
        for each in items:
            yield each
            self.breathe()

    def breathe(self) -> None:
        """Make a pause where one is due."""
        worked = self._work() - self._rested_at
        if worked < WORK_S:
            return
        if self._precedence.is_claimed():
            self._rest(min(REST * worked, REST_MAX_S))
        self._rested_at = self._work()
