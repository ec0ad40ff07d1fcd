"""Two doors lead into a directory, requests and what is found by itself: only one at a time decides what is new."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator


class Admission:
    """A lock for each unit of the workdir, gone with the last that holds or wants it.

    One lock for all would have a request wait until a thousand other directories were taken in.
    """

    def __init__(self) -> None:
        self._looking_up = threading.Lock()
        self._locks: WeakValueDictionary[bytes, threading.Lock] = WeakValueDictionary()

    @contextmanager
    def to(self, unit: bytes) -> Iterator[None]:
        """Let nobody else put files of this unit into the queue meanwhile."""
        with self._looking_up:
            lock = self._locks.setdefault(unit, threading.Lock())
        with lock:
            yield
