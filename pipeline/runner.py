"""The one loop that steps, sleeps and catches."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from pipeline.errors import UnavailableError

logger = logging.getLogger(__name__)


class Steps(Protocol):
    """A long-running part: one iteration a call."""

    def step(self, now: float) -> float:
        """Do what is due at `now` (monotonic seconds); return in how many seconds to come again."""
        ...


class Runner:
    """Runs one part in a thread of its own until stopped; an error is logged and the part goes on after a pause."""

    ERROR_PAUSE_S = 1.0

    def __init__(self, name: str, part: Steps) -> None:
        self._part = part
        self._wake = threading.Event()
        self._stopping = False
        self._waits = False  # for a database that cannot be used now
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Step again now."""
        self._wake.set()

    def stop(self, timeout: float = 5.0) -> bool:
        """Stop after the present step; tell whether it ended in time."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            try:
                pause = self._part.step(time.monotonic())
                self._waits = False
            except UnavailableError as error:
                self._say_once(error)
                pause = self.ERROR_PAUSE_S
            except Exception:
                logger.exception("%s: a step failed; it is tried again", self._thread.name)
                pause = self.ERROR_PAUSE_S
            self._wake.wait(pause)
            self._wake.clear()

    def _say_once(self, error: UnavailableError) -> None:
        if not self._waits:
            logger.warning("%s waits: %s", self._thread.name, error)
        self._waits = True
