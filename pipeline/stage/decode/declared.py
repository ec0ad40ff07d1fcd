"""How long a file says it is, where FFmpeg does not tell: cut WAV files and Ogg files decode without a word."""

from __future__ import annotations

import os
import struct

_WAV_HEAD = 4096
_UNFINISHED = 0xFFFF_FF00  # and above: a writer that could not go back to say how much it wrote
_OGG_PAGE = 1 << 16  # the longest Ogg page
_OGG_LAST = 4  # RFC 3533: the flag of a stream's last page


def wav_seconds(fd: int) -> float | None:
    """Return the seconds that a WAV file's data chunk declares; None for other files and unfinished headers."""
    head = os.pread(fd, _WAV_HEAD, 0)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at, bytes_per_second = 12, 0
    while at + 8 <= len(head):
        kind, size = struct.unpack_from("<4sI", head, at)
        if kind == b"fmt " and at + 20 <= len(head):
            (bytes_per_second,) = struct.unpack_from("<I", head, at + 16)
        if kind == b"data":
            known = 0 < size < _UNFINISHED and bytes_per_second
            return size / bytes_per_second if known else None
        at += 8 + size + (size & 1)
    return None


def ogg_is_cut(fd: int, size: int) -> bool:
    """Tell whether an Ogg file ends without the page that ends a stream."""
    if os.pread(fd, 4, 0) != b"OggS":
        return False
    tail = os.pread(fd, _OGG_PAGE, max(0, size - _OGG_PAGE))
    last = tail.rfind(b"OggS")
    return last < 0 or last + 6 > len(tail) or not tail[last + 5] & _OGG_LAST
