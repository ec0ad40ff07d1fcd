"""Room for what clients send: how many may send at once, and how much of the disk stays free."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Room:
    """Lets so many clients send at once, and leaves so many bytes of a disk to the queue and the transcripts."""

    def __init__(self, *, at_once: int, kept_free: int) -> None:
        self._kept_free = kept_free
        self._places = threading.BoundedSemaphore(max(0, at_once))

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold one of the places. Raises UnavailableError where all are taken."""
        if not self._places.acquire(blocking=False):
            raise UnavailableError("as many uploads as --max_uploads allows are under way; try again")
        try:
            yield
        finally:
            self._places.release()

    def require(self, where: int | bytes, coming: int = 0) -> None:
        """See that `coming` bytes leave enough free where a path or descriptor is. Raises UnavailableError, OSError."""
        disk = os.statvfs(where)
        free = disk.f_bavail * disk.f_frsize
        if free - coming < self._kept_free:
            raise UnavailableError(
                f"the disk is nearly full: {free} bytes are free, {coming} are coming, and --min_free_bytes keeps"
                f" {self._kept_free}; make room"
            )
