"""Recordings that a client sent and waits for: they lie in a spool beside the queue, and nobody else sees them.

In the queue they have paths below `.whisper/spool/`, which no scan finds and no request can name. Pure.
"""

from __future__ import annotations

FOLDER = "spool"  # in the folder of the queue, which need not be in the workdir
PREFIX = b".whisper/spool/"
PRIORITY = 2**31 - 1  # above what anybody may ask for: somebody sits and waits


def spooled_path(name: str) -> bytes:
    """Return the path by which the queue knows a spooled recording."""
    return PREFIX + name.encode()


def is_spooled(path: bytes) -> bool:
    """Tell whether a path of the queue is that of a spooled recording."""
    return path.startswith(PREFIX)


class Roots:
    """Where the paths of the queue lead: to the workdir, those of spooled recordings to the spool."""

    def __init__(self, workdir: bytes, spool: bytes | None = None) -> None:
        """`spool` None: it is where the default queue has it, in the workdir."""
        self._workdir = workdir
        self._spool = spool

    def place(self, path: bytes) -> tuple[bytes, bytes]:
        """Return the folder that a path is in, and the path in it."""
        if self._spool is not None and is_spooled(path):
            return self._spool, path.removeprefix(PREFIX)
        return self._workdir, path
