"""Whom to blame if this process dies or hangs: told to the supervisor before the step is taken."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.relay.messages import Busy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

NOTABLE_S = 10.0  # shorter expectations are below the supervisor's patience anyway


class Blame:
    """The files whose windows are on the device, and those that a thread decodes; any thread may change them."""

    def __init__(self, send: Callable[[Busy], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._on_device: frozenset[int] = frozenset()
        self._decoded: frozenset[int] = frozenset()
        self._expected = 0.0
        self._said = Busy(file_ids=())

    def transcribing(self, file_ids: Iterable[int], expected: float) -> None:
        """Name the owners of the running batch, and in how many seconds a window of some file should end."""
        with self._lock:
            self._on_device = frozenset(file_ids)
            self._expected = expected // NOTABLE_S * NOTABLE_S
            self._say()

    def transcribed(self) -> None:
        """Know that nothing is on the device."""
        with self._lock:
            self._on_device = frozenset()
            self._say()

    @contextmanager
    def decoding(self, file_id: int) -> Iterator[None]:
        """Name a file while it is decoded and searched for speech."""
        self._decode(file_id, at_work=True)
        try:
            yield
        finally:
            self._decode(file_id, at_work=False)

    @contextmanager
    def waiting(self, file_id: int) -> Iterator[None]:
        """Leave a file out while its decoding waits for room."""
        self._decode(file_id, at_work=False)
        try:
            yield
        finally:
            self._decode(file_id, at_work=True)

    def _decode(self, file_id: int, *, at_work: bool) -> None:
        with self._lock:
            self._decoded = self._decoded | {file_id} if at_work else self._decoded - {file_id}
            self._say()

    def _say(self) -> None:
        busy = Busy(file_ids=tuple(sorted(self._on_device | self._decoded)), expected=self._expected)
        if busy != self._said:
            self._send(busy)
        self._said = busy
