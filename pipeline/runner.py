"""The one loop that steps, sleeps and catches."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

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
            except Exception:
                logger.exception("%s: a step failed; it is tried again", self._thread.name)
                pause = self.ERROR_PAUSE_S
            self._wake.wait(pause)
            self._wake.clear()
