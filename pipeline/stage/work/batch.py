"""The running batch of one engine: what fails in it fails alone, and short memory means fewer windows."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.stage.transcribe.engine import Engine, Reply, Request

    Outcome = tuple[Request, Reply | Exception]

logger = logging.getLogger(__name__)
T = TypeVar("T")

TELLING = 8  # windows tell how slow this machine is


class Batch:
    """Windows on their way through an engine; each that joins ends once, with a reply or with what went wrong.

    Out of memory: once more, as the engine has let everything go, then with half as many, which is remembered.
    """

    def __init__(self, engine: Engine, *, guess: float, on_gpu: bool) -> None:
        self.engine = engine
        self.slots = engine.slots
        self.busy = 0.0  # seconds inside the engine
        self.ended = 0  # windows
        self._on_gpu = on_gpu
        self._guess = guess
        self._slowest = 0.0  # seconds that a window has taken
        self._taken, self._joined = 0.0, 0  # seconds, and windows that joined, since one ended
        self._running: list[Request] = []  # in the order of their admission
        self._waiting: list[Request] = []  # to be admitted before any other
        self._apart = False  # whether those that wait go one at a time: one of them made the engine fail
        self._on_probation = 0  # windows to end before short memory is forgiven again

    @property
    def size(self) -> int:
        """Windows in its hands."""
        return len(self._running) + len(self._waiting)

    @property
    def free(self) -> int:
        """Windows that may join."""
        return 0 if self._apart else max(0, self.slots - self.size)

    def expected(self, attempts: int) -> float:
        """In how many seconds one of its windows should end that may be decoded so often: by the slowest so far.

        As if all were yet to join. The guess counts until some have ended, as the first may have been short.
        """
        known = self._slowest * attempts
        return (known if self.ended >= TELLING else max(known, self._guess)) * (self.size + 1)

    def join(self, requests: Sequence[Request]) -> None:
        """Take these windows in, at most as many as are free."""
        self._waiting += requests

    def advance(self) -> list[Outcome]:
        """Work for a moment; return the windows that ended.

        Raises RuntimeError where it comes from a GPU: only a new process can use the device again.
        """
        began, joined = time.monotonic(), len(self._waiting)
        ended = self._admit(self._next()) or self._decode()
        self._measure(time.monotonic() - began, joined, len(ended))
        self._on_probation = max(0, self._on_probation - len(ended))
        self._apart = self._apart and self.size > 0
        return ended

    def drop(self, requests: Sequence[Request]) -> None:
        """Let these go; nobody waits for them any more."""
        gone = {id(request) for request in requests}
        self._forget(gone)
        self._waiting = [request for request in self._waiting if id(request) not in gone]
        self._apart = self._apart and self.size > 0
        if self._attempt(lambda: self.engine.drop(requests)) is not None:  # those that stay begin again
            self._waiting[:0] = self._let_go([])

    def _next(self) -> list[Request]:
        """Return those that may be admitted now."""
        room = (1 if self._apart else self.slots) - len(self._running)
        joining, self._waiting = self._waiting[:room], self._waiting[room:]
        return joining

    def _admit(self, joining: list[Request]) -> list[Outcome]:
        """Let these run; return those that cannot."""
        if not joining:
            return []
        failure = self._attempt(lambda: self.engine.admit(joining))
        if isinstance(failure, MemoryError):
            return self._begin_again(joining, failure)
        if failure is None:
            self._running += joining
            return []
        if len(joining) == 1:
            return [(joining[0], failure)]
        return [ended for each in joining for ended in self._admit([each])]

    def _decode(self) -> list[Outcome]:
        if not self._running:
            return []
        ended = self._attempt(self.engine.advance)
        if isinstance(ended, MemoryError):
            return self._begin_again([], ended)
        if isinstance(ended, Exception):
            return self._separate(ended)
        self._forget({id(request) for request, _ in ended})
        return [*ended]

    def _attempt(self, step: Callable[[], T]) -> T | Exception:
        """Return what a step of the engine returns or fails with: the fence around the windows of many files."""
        try:
            return step()
        except Exception as error:
            if isinstance(error, RuntimeError) and self._on_gpu:
                raise
            if not isinstance(error, (MemoryError, PipelineError)):
                logger.exception("the engine failed")
            return error.with_traceback(None)  # it would keep the batch's tensors alive

    def _begin_again(self, joining: list[Request], error: MemoryError) -> list[Outcome]:
        """Have all wait that ran or joined when memory was short; what fails alone fails."""
        everyone = self._let_go(joining)
        if self._on_probation:
            if len(everyone) == 1:
                return [(everyone[0], error)]
            self.slots = len(everyone) // 2
            logger.warning("out of memory: %d windows side by side from now on", self.slots)
        self._on_probation = len(everyone)
        self._waiting[:0] = everyone
        return []

    def _separate(self, error: Exception) -> list[Outcome]:
        """Try each of those that ran by itself."""
        suspects = self._let_go([])
        if len(suspects) == 1:
            return [(suspects[0], error)]
        self._apart = True
        self._waiting[:0] = suspects
        return []

    def _let_go(self, joining: list[Request]) -> list[Request]:
        """Return all that ran or joined; an engine that failed half-way may still hold some."""
        everyone, self._running = [*self._running, *joining], []
        self.engine.drop(everyone)
        return everyone

    def _forget(self, gone: set[int]) -> None:
        self._running = [request for request in self._running if id(request) not in gone]

    def _measure(self, seconds: float, joined: int, ended: int) -> None:
        """Count a moment; where windows ended in it, what one has taken since any ended before."""
        self.busy += seconds
        self.ended += ended
        self._taken += seconds
        self._joined += joined
        if ended:
            self._slowest = max(self._slowest, self._taken / (self._joined + 1))
            self._taken, self._joined = 0.0, 0
