"""Recordings that were cut off, that lost bits, or that were glued together wrongly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

from tests.hostile.forge.case import DONE, EITHER, Case, holding
from tests.hostile.forge.recordings import ENCODED, recording

HEAD = 256  # bytes in which a container says what it is


def cases() -> Iterator[Case]:
    """Yield each container cut and damaged, and the ways to glue two."""
    for suffix in ENCODED:
        for share in (0.02, 0.5):
            yield holding(f"cut-{share}.{suffix}", partial(cut, suffix, share), *EITHER)
        yield holding(f"flipped-head.{suffix}", partial(flipped, suffix, 6, HEAD), *EITHER, "no_audio")
        yield holding(f"flipped.{suffix}", partial(flipped, suffix, 200), *EITHER, "no_audio")
    for suffix in ("mp3", "aac", "ogg", "ts"):
        yield holding(f"headless.{suffix}", partial(headless, suffix), *EITHER)
    yield holding("garbage-in-front.mp3", lambda: noise(60_000) + recording("mp3"), *EITHER)
    yield holding("garbage-behind.wav", lambda: recording("wav") + noise(60_000), DONE)
    yield holding("two-in-one.mp3", lambda: recording("mp3") + recording("mp3"), DONE)
    yield holding("two-kinds.mp3", lambda: recording("mp3") + recording("flac"), DONE)
    yield holding(
        "other-rate-midway.aac", lambda: recording("aac") + recording("mp3") + recording("aac"), *EITHER
    )
    yield holding("wrong-name.wav", partial(recording, "mp3"), DONE)
    yield holding("zeroed-middle.flac", partial(zeroed, "flac"), *EITHER)
    yield holding("zeroed-middle.ogg", partial(zeroed, "ogg"), *EITHER)
    yield holding("repeated-head.wav", lambda: recording("wav")[:44] * 1000, DONE)


def noise(count: int, seed: int = 0) -> bytes:
    """Return bytes that mean nothing."""
    return random.Random(seed).randbytes(count)  # noqa: S311 - no secret


def cut(suffix: str, share: float) -> bytes:
    """Return the first part of a recording."""
    whole = recording(suffix)
    return whole[: max(1, int(len(whole) * share))]


def headless(suffix: str) -> bytes:
    """Return a recording without its first third."""
    whole = recording(suffix)
    return whole[len(whole) // 3 :]


def flipped(suffix: str, count: int, within: int | None = None) -> bytes:
    """Return a recording with so many bits turned, among the first bytes of it or anywhere."""
    chance, raw = random.Random(suffix), bytearray(recording(suffix))  # noqa: S311 - no secret
    for _ in range(count):
        raw[chance.randrange(min(within or len(raw), len(raw)))] ^= 1 << chance.randrange(8)
    return bytes(raw)


def zeroed(suffix: str) -> bytes:
    """Return a recording whose middle third was never written."""
    whole = recording(suffix)
    third = len(whole) // 3
    return whole[:third] + bytes(third) + whole[2 * third :]
