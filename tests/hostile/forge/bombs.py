"""Small files that stand for enormous ones: compressed, sparse, or with thousands of parts."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.hostile.forge import ebml
from tests.hostile.forge.case import DONE, EITHER, Case, holding
from tests.hostile.forge.recordings import recording
from tests.hostile.forge.waves import MOST, chunk, tone, wav

STREAMS = 5000
TIB = 1 << 40
MIB = 1 << 20


def cases() -> Iterator[Case]:
    """Yield all of them."""
    yield from _sparse()
    yield from _compressed()
    yield from _many()


def _sparse() -> Iterator[Case]:
    yield Case("sparse-1-tib.mp3", partial(_sparse_file, ""), ("corrupt",))
    yield Case("sparse-behind-1-tib.mp3", partial(_sparse_file, "mp3"), ("corrupt",))
    yield Case("sparse-1-tib.w64", partial(_sparse_file, "w64"), ("corrupt",))
    yield Case("tags-of-200-mb.mp3", _tagged, (DONE,))
    tag = b"ID3\4\0\0" + b"\x7f" * 4 + b"APIC" + b"\x7f" * 4 + bytes(1000)
    yield holding("tags-claim-256-mb.mp3", lambda: tag + recording("mp3"), *EITHER)


def _compressed() -> Iterator[Case]:
    yield holding("silence-of-years.flac", partial(flac, 1, 1000), "too_long", "corrupt", "not_media")
    yield holding("silence-of-days.flac", partial(flac, 100, 1000), "too_long", "corrupt")
    yield holding("claims-2-to-36.flac", partial(flac, 16_000, 3), DONE)
    yield holding("compressed-blocks.mka", partial(ebml.zipped, 8 * MIB, 20), *EITHER)
    yield holding("compressed-too-much.mka", partial(ebml.zipped, 200 * MIB, 1), *EITHER)
    yield holding("cover-30000x30000.mp3", _huge_cover, *EITHER)
    yield holding("gzip.mp3", lambda: zlib.compress(bytes(50 * MIB)), "not_media")


def _many() -> Iterator[Case]:
    yield holding("5000-streams.mka", partial(ebml.tracks, STREAMS), *EITHER)
    yield holding("5000-streams.avi", avi, *EITHER)
    yield holding("5000-streams.ogg", ogg, *EITHER)
    yield holding("5000-chunks.wav", lambda: wav(before=chunk(b"junk", bytes(8)) * STREAMS), DONE)
    yield holding("elements-in-elements.mka", partial(ebml.nested, 5000), *EITHER, "no_audio")


def _sparse_file(suffix: str, path: Path) -> None:
    """Write a recording, then nothing for a tebibyte."""
    path.write_bytes(recording(suffix) if suffix else b"")
    if suffix == "w64":
        _claim_all(path)
    os.truncate(path, TIB)


def _claim_all(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    at = raw.index(b"data") + 16  # a GUID of 16 bytes, then the size
    struct.pack_into("<Q", raw, at, TIB - at - 8)
    path.write_bytes(raw)


def _tagged(path: Path) -> None:
    """Write tags of 200 MB, most of it a cover of nothing, before a recording."""
    size = 200 * MIB
    digits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    frame = b"APIC" + struct.pack(">I", size - 20) + b"\0\0\0image/png\0\3\0"
    with path.open("wb") as file:
        file.write(b"ID3\3\0\0" + digits + frame)
        file.seek(10 + size)
        file.write(recording("mp3"))


def flac(rate: int, frames: int) -> bytes:
    """Return frames of 65,535 equal samples in 15 bytes each, and the claim of 2^36 - 1 of them."""
    about = struct.pack(">HH", 65_535, 65_535) + bytes(6)
    about += (rate << 44 | 15 << 36 | (1 << 36) - 1).to_bytes(8, "big") + bytes(16)
    raw = b"fLaC\x80" + len(about).to_bytes(3, "big") + about
    return raw + b"".join(map(_frame, range(frames)))


def _frame(number: int) -> bytes:
    coded = chr(number).encode("utf-8", "surrogatepass")
    head = b"\xff\xf8\x70\x00" + coded + struct.pack(">H", 65_534)
    head += bytes([_crc(head, 8, 0x07)])
    body = head + b"\0" + b"\0\0"  # a constant subframe: every sample is 0
    return body + _crc(body, 16, 0x8005).to_bytes(2, "big")


def _crc(raw: bytes, width: int, polynomial: int) -> int:
    value, top, every = 0, 1 << width - 1, (1 << width) - 1
    for byte in raw:
        value ^= byte << width - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & every
    return value


def _huge_cover() -> bytes:
    """Return a recording with a cover that is small on disk and needs gigabytes in memory."""
    side = 30_000
    head = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
    rows = zlib.compress(bytes(side * 8), 9)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    )
    frame = b"\0image/png\0\3\0" + png
    tag = b"APIC" + struct.pack(">IH", len(frame), 0) + frame
    digits = bytes(len(tag) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + digits + tag + recording("mp3")


def avi() -> bytes:
    """Return an AVI of 5,000 sound streams."""
    head = struct.pack("<56s", struct.pack("<IIIIII I", 1000, 0, 0, 0x10, 1, 0, STREAMS))
    about = struct.pack("<4s4sIHHIIIIIIII8s", b"auds", b"", 0, 0, 0, 0, 1, 16_000, 0, 8000, 0, MOST, 2, b"")
    form = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    stream = chunk(b"LIST", b"strl" + chunk(b"strh", about) + chunk(b"strf", form))
    header = chunk(b"LIST", b"hdrl" + chunk(b"avih", head) + stream * STREAMS)
    return chunk(b"RIFF", b"AVI " + header + chunk(b"LIST", b"movi" + chunk(b"00wb", tone())))


def ogg() -> bytes:
    """Return an Ogg file that begins 5,000 streams."""
    vorbis = recording("ogg")
    first = vorbis[: 28 + 30]  # the page of the identification header
    return b"".join(map(partial(_page, first), range(1, STREAMS + 1))) + vorbis


def _page(first: bytes, serial: int) -> bytes:
    raw = bytearray(first)
    struct.pack_into("<III", raw, 14, serial, 0, 0)
    struct.pack_into("<I", raw, 22, _crc(bytes(raw), 32, 0x04C1_1DB7))
    return bytes(raw)
