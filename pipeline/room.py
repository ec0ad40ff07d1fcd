"""Room for what clients send: how much of the disk stays free."""

from __future__ import annotations

import os

from pipeline.errors import UnavailableError


class Room:
    """Leaves so many bytes of a disk to the queue and the transcripts."""

    def __init__(self, *, kept_free: int) -> None:
        self._kept_free = kept_free

    def require(self, where: int | bytes, coming: int = 0) -> None:
        """See that `coming` bytes leave enough free where a path or descriptor is. Raises UnavailableError, OSError."""
        disk = os.statvfs(where)
        free = disk.f_bavail * disk.f_frsize
        if free - coming < self._kept_free:
            raise UnavailableError(
                f"the disk is nearly full: {free} bytes are free, {coming} are coming, and --min_free_bytes keeps"
                f" {self._kept_free}; make room"
            )
