"""The supervisor's end of the socketpair to its child: never blocks, whatever state the child is in.

The framing is that of `multiprocessing.connection.Connection` (a 4-byte big-endian length before each message),
which is what the child's end is.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

_LENGTH = struct.Struct("!i")
_CHUNK = 1 << 18


class Channel:
    """Frames over a non-blocking socket; what does not fit now is sent by a later `flush`."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._received = bytearray()
        self._unsent = bytearray()
        self.ended = False  # the child closed its end

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._end.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether to wait for room too."""
        return bool(self._unsent)

    def send(self, raw: bytes) -> None:
        """Queue one message and send what fits."""
        self._unsent += _LENGTH.pack(len(raw)) + raw
        self.flush()

    def flush(self) -> None:
        """Send what fits of the queued messages."""
        try:
            while self._unsent:
                del self._unsent[: self._end.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # the child is gone; its death is noticed elsewhere
            self._unsent.clear()

    def receive(self) -> list[bytes]:
        """Return the whole messages that have arrived."""
        try:
            while not self.ended:
                chunk = self._end.recv(_CHUNK)
                self._received += chunk
                self.ended = not chunk
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
        return list(iter(self._next, None))

    def _next(self) -> bytes | None:
        head = _LENGTH.size
        if len(self._received) < head:
            return None
        (length,) = _LENGTH.unpack_from(self._received)
        if len(self._received) < head + length:
            return None
        raw = bytes(self._received[head : head + length])
        del self._received[: head + length]
        return raw

    def close(self) -> None:
        """Close this end."""
        self._end.close()
