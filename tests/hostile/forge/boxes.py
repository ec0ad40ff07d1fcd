"""MP4 files whose boxes lie, lead elsewhere, are locked or too many."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from tests.hostile.forge.case import EITHER, Case, holding
from tests.hostile.forge.recordings import encoded, recording

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf"}
MOST = 0xFFFF_FFFF
HOURS_1000 = 3_600_000
STREAMS = 5000

Edit = Callable[[bytes], bytes]


def box(kind: bytes, payload: bytes = b"", size: int | None = None) -> bytes:
    """Return a box; `size` is what it says of itself if that is not true."""
    return struct.pack(">I", 8 + len(payload) if size is None else size) + kind + payload


def edited(raw: bytes, edits: dict[bytes, Edit]) -> bytes:
    """Return boxes with what is in some of them changed, the sizes of those around mended."""
    made = b""
    while raw:
        size, kind = struct.unpack_from(">I4s", raw)
        inner = raw[8:size]
        if kind in CONTAINERS:
            inner = edited(inner, edits)
        if kind in edits:
            inner = edits[kind](inner)
        made, raw = made + box(kind, inner), raw[size:]
    return made


def changed(kind: bytes, edit: Edit) -> Callable[[], bytes]:
    """Return what makes the recording with one kind of box changed."""
    return lambda: edited(recording("m4a"), {kind: edit})


def put(offset: int, form: str, *values: int) -> Edit:
    """Return the edit that writes numbers into a box."""

    def edit(inner: bytes) -> bytes:
        raw = bytearray(inner)
        struct.pack_into(form, raw, offset, *values)
        return bytes(raw)

    return edit


def cases() -> Iterator[Case]:
    """Yield all of them."""
    for name, kind, edit in (
        ("time-scale-0", b"mdhd", put(12, ">I", 0)),
        ("time-scale-most", b"mdhd", put(12, ">I", MOST)),
        ("sizes-most", b"stsz", put(8, ">I", MOST)),
        ("sizes-constant-most", b"stsz", put(4, ">II", MOST, MOST)),
        ("times-most", b"stts", put(4, ">I", MOST)),
        ("chunks-most", b"stsc", put(4, ">I", MOST)),
        ("offsets-most", b"stco", put(4, ">I", MOST)),
        ("offsets-beyond", b"stco", put(8, ">I", MOST)),
        ("rate-0", b"stsd", put(8 + 32, ">I", 0)),
        ("channels-most", b"stsd", put(8 + 24, ">H", 0xFFFF)),
    ):
        yield holding(f"{name}.m4a", changed(kind, edit), *EITHER)
    scale = put(12, ">II", 16_000, HOURS_1000 * 16_000 & MOST)
    yield holding("claims-1000-hours.m4a", changed(b"mdhd", scale), *EITHER)
    yield holding("jumps-back.m4a", changed(b"stts", jump_back), *EITHER)
    yield from _locked()
    yield from _elsewhere()
    yield from _too_much()


def _locked() -> Iterator[Case]:
    for name, code in {"fairplay": b"drms", "audible": b"aavd", "cenc": b"enca"}.items():
        locked = changed(b"stsd", lambda inner, code=code: inner.replace(b"mp4a", code, 1))
        yield holding(f"locked-{name}.m4a", locked, *EITHER)
    yield holding("locked-really.m4a", encrypted, *EITHER)


def _elsewhere() -> Iterator[Case]:
    for kind, target in {"url": b"url ", "alias": b"alis"}.items():
        for name, path in {"absolute": "/etc/hostname", "beside": "../outside/secret.wav"}.items():
            entry = partial(referred, target, path)
            yield holding(f"refers-{kind}-{name}.mov", changed(b"dinf", entry), *EITHER)
    url = b"http://127.0.0.1:9/a.mov\0"
    movie = box(
        b"moov", box(b"rmra", box(b"rmda", box(b"rdrf", struct.pack(">I4sI", 0, b"url ", len(url)) + url)))
    )
    yield holding("reference-movie.mov", box(b"ftyp", b"qt  " + bytes(4)) + movie, "no_audio", "not_media")


def _too_much() -> Iterator[Case]:
    yield holding("boxes-in-boxes.m4a", lambda: box(b"ftyp", b"M4A " + bytes(4)) + nested(10_000), *EITHER)
    yield holding("boxes-of-size-0.mp4", recording_of_nothing, *EITHER, "no_audio")
    yield holding("5000-streams.mp4", many_tracks, *EITHER)
    bomb = partial(compressed, 200_000_000, 200_000_000)
    yield holding("compressed-200-mb.mov", bomb, *EITHER)
    yield holding("compressed-claims-4-gb.mov", partial(compressed, 1000, MOST), *EITHER)


def jump_back(inner: bytes) -> bytes:
    """Return a table of times in which every second sample ends before it begins."""
    deltas = b"".join(struct.pack(">II", 1, MOST - 5000 if n % 2 else 9000) for n in range(100))
    return inner[:4] + struct.pack(">I", 100) + deltas


def encrypted() -> bytes:
    """Return a recording under Common Encryption, without its key."""
    key = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb")
    kid = ("-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
    tone = ("-f", "lavfi", "-i", "sine=300:duration=6", "-c:a", "aac", "-fflags", "+bitexact")
    return encoded("mp4", *tone, *key, *kid)


def referred(kind: bytes, path: str, _: bytes) -> bytes:
    """Return the dinf box of a track whose samples lie in another file."""
    raw = path.encode() + b"\0"
    if kind == b"alis":  # a Macintosh alias: 150 bytes, then records; type 2 is the absolute path
        raw = bytes(150) + struct.pack(">HH", 2, len(raw)) + raw + bytes(len(raw) % 2) + b"\xff\xff\0\0"
    entry = box(kind, bytes(4) + raw)
    return box(b"dref", struct.pack(">II", 0, 1) + entry)


def nested(depth: int) -> bytes:
    """Return boxes in boxes."""
    raw = b""
    for _ in range(depth):
        raw = box(b"moov", raw)
    return raw


def recording_of_nothing() -> bytes:
    """Return a movie of boxes that end nowhere."""
    return box(b"ftyp", b"isom" + bytes(4)) + box(b"moov", box(b"trak", b"", 1) * 1000, 0)


def many_tracks() -> bytes:
    """Return a recording with its only track 5,000 times."""
    whole = recording("m4a")
    at = whole.index(b"trak") - 4
    (size,) = struct.unpack_from(">I", whole, at)
    track = whole[at : at + size]
    return edited(whole, {b"moov": lambda inner: inner + track * STREAMS})


def compressed(size: int, claimed: int) -> bytes:
    """Return a movie whose header is compressed: so many zeros, and what it says of their number."""
    body = struct.pack(">I", claimed) + zlib.compress(box(b"moov", bytes(size)), 9)
    return box(b"ftyp", b"qt  " + bytes(4)) + box(
        b"moov", box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", body))
    )
