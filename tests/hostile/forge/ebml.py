"""Matroska, written by hand: EBML elements that lie, repeat and nest."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from functools import partial

from tests.hostile.forge.case import EITHER, Case, holding
from tests.hostile.forge.waves import tone

HEADER, SEGMENT, INFO, TRACKS, ENTRY, CLUSTER = (
    0x1A45DFA3,
    0x18538067,
    0x1549A966,
    0x1654AE6B,
    0xAE,
    0x1F43B675,
)
NUMBER, UID, KIND, CODEC, AUDIO = 0xD7, 0x73C5, 0x83, 0x86, 0xE1
FREQUENCY, CHANNELS, DEPTH = 0xB5, 0x9F, 0x6264
TIMESTAMP, BLOCK, DURATION, DOC = 0xE7, 0xA3, 0x4489, 0x4282
ENCODINGS, ENCODING, COMPRESSION = 0x6D80, 0x6240, 0x5034
UNKNOWN = b"\x01" + b"\xff" * 7
SOUND = 2


def element(kind: int, payload: bytes, size: bytes | None = None) -> bytes:
    """Return an element; `size` is what it says of itself if that is not true."""
    name = kind.to_bytes((kind.bit_length() + 7) // 8, "big")
    return name + (size or (len(payload) | 1 << 56).to_bytes(8, "big")) + payload


def number(kind: int, value: int) -> bytes:
    """Return an element that holds an integer."""
    return element(kind, value.to_bytes(8, "big"))


def real(kind: int, value: float) -> bytes:
    """Return an element that holds a floating-point number."""
    return element(kind, struct.pack(">d", value))


def track(
    at: int = 1, frequency: float = 16_000.0, channels: int = 1, depth: int = 16, more: bytes = b""
) -> bytes:
    """Return a track of PCM."""
    shape = real(FREQUENCY, frequency) + number(CHANNELS, channels) + number(DEPTH, depth)
    about = number(NUMBER, at) + number(UID, at) + number(KIND, SOUND) + element(CODEC, b"A_PCM/INT/LIT")
    return element(ENTRY, about + element(AUDIO, shape) + more)


def file(entries: bytes, clusters: bytes = b"", info: bytes = b"") -> bytes:
    """Return a file of these tracks and clusters."""
    body = element(INFO, info) + element(TRACKS, entries) + clusters
    return element(HEADER, element(DOC, b"matroska")) + element(SEGMENT, body)


def cluster(at: int, pcm: bytes, offset: int = 0) -> bytes:
    """Return a second of sound at this millisecond."""
    return element(
        CLUSTER, number(TIMESTAMP, at) + element(BLOCK, b"\x81" + struct.pack(">h", offset) + b"\x80" + pcm)
    )


def cases() -> Iterator[Case]:
    """Yield those that are small."""
    second = tone(1.0)
    for name, fields in {
        "frequency-0": {"frequency": 0.0},
        "frequency-not-a-number": {"frequency": math.nan},
        "frequency-infinite": {"frequency": math.inf},
        "frequency-negative": {"frequency": -16_000.0},
        "frequency-most": {"frequency": 1e300},
        "channels-0": {"channels": 0},
        "channels-most": {"channels": 1 << 62},
        "depth-most": {"depth": 1 << 62},
        "number-0": {"at": 0},
    }.items():
        yield holding(f"{name}.mka", partial(_one, fields), *EITHER, "no_audio")
    hours = real(DURATION, 3.6e9)
    yield holding("claims-1000-hours.mka", file(track(), cluster(0, second), hours), "done")
    yield holding(
        "duration-not-a-number.mka", file(track(), cluster(0, second), real(DURATION, math.nan)), "done"
    )
    back = b"".join(cluster(at, second) for at in (9000, 0, 5000, 1000))
    yield holding("jumps-back.mka", file(track(), back), *EITHER)
    ahead = cluster(0, second) + cluster(1 << 40, second) + cluster(1000, second, -30_000)
    yield holding("jumps-years-ahead.mka", file(track(), ahead), *EITHER)
    yield holding("two-equal-tracks.mka", file(track() * 2, cluster(0, second)), *EITHER)
    yield holding("size-unknown.mka", file(track()) + element(CLUSTER, cluster(0, second), UNKNOWN), *EITHER)


def _one(fields: dict[str, float]) -> bytes:
    return file(track(**fields), cluster(0, tone(1.0)))  # type: ignore[arg-type]


def tracks(count: int) -> bytes:
    """Return a file of so many tracks."""
    return file(b"".join(map(track, range(1, count + 1))), cluster(0, tone(1.0)))


def zipped(size: int, blocks: int) -> bytes:
    """Return blocks of so many zeros each, compressed."""
    packed = zlib.compress(bytes(size), 9)
    coded = element(ENCODINGS, element(ENCODING, element(COMPRESSION, number(0x4254, 0))))
    return file(track(more=coded), b"".join(cluster(1000 * n, packed) for n in range(blocks)))


def nested(depth: int) -> bytes:
    """Return elements in elements."""
    raw = b""
    for _ in range(depth):
        raw = element(0x3373, element(0x63C0, raw))  # Tag, Targets
    return file(element(0x1254C367, raw), cluster(0, tone(1.0)))
