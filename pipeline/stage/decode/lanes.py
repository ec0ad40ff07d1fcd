"""The few threads that may decode at once; whoever has waited longest is next."""

from __future__ import annotations

import threading
from collections import deque
from typing import Self


class Lanes:
    """A semaphore that is handed over in turn: threading's own lets the one that just left in again at once."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._line: deque[threading.Event] = deque()
        self._changing = threading.Lock()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits."""
        return bool(self._line)

    def acquire(self) -> None:
        """Wait for a lane."""
        turn = threading.Event()
        with self._changing:
            if self._free:
                self._free -= 1
                return
            self._line.append(turn)
        turn.wait()

    def release(self) -> None:
        """Hand the lane over."""
        with self._changing:
            if self._line:
                self._line.popleft().set()
            else:
                self._free += 1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
