"""Recordings changed at random: bits turned, pieces lost, doubled, zeroed, spliced, numbers made extreme."""

from __future__ import annotations

from random import Random

from tests.acceptance.harness import SAMPLES
from tests.hostile.forge.recordings import ENCODED, CannotMakeError, recording

SPOKEN = sorted(path for path in SAMPLES.rglob("*") if path.suffix in (".mp3", ".flac"))
EXTREMES = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\1",
    b"\x80\0\0\0",
)
HEAD = 2048  # bytes, where most of the structure is
MOST = 4


def mutant(seed: str) -> tuple[str, bytes]:
    """Return the name and the content of the recording that this seed stands for."""
    chance = Random(seed)  # noqa: S311 - no secret
    suffix, raw = _original(chance)
    for _ in range(chance.randint(1, MOST)):
        raw = chance.choice((_flip, _cut, _lose, _double, _zero, _splice, _exaggerate))(raw, chance)
    return f"mutant-{seed.replace('/', '-')}.{suffix}", bytes(raw)


def _original(chance: Random) -> tuple[str, bytearray]:
    if chance.random() < 0.1:
        path = chance.choice(SPOKEN)
        return path.suffix[1:], bytearray(path.read_bytes())
    suffix = chance.choice(sorted(ENCODED))
    try:
        return suffix, bytearray(recording(suffix))
    except CannotMakeError:
        return "wav", bytearray(recording("wav"))


def _place(raw: bytearray, chance: Random) -> int:
    """Return a place, as often in the head as elsewhere."""
    return chance.randrange(max(1, min(len(raw), chance.choice((HEAD, len(raw))))))


def _flip(raw: bytearray, chance: Random) -> bytearray:
    for _ in range(chance.choice((1, 10, 300)) if raw else 0):
        raw[_place(raw, chance)] ^= 1 << chance.randrange(8)
    return raw


def _cut(raw: bytearray, chance: Random) -> bytearray:
    return raw[: _place(raw, chance) + 1]


def _lose(raw: bytearray, chance: Random) -> bytearray:
    at = _place(raw, chance)
    return raw[:at] + raw[at + chance.choice((1, 100, 5000)) :]


def _double(raw: bytearray, chance: Random) -> bytearray:
    at = _place(raw, chance)
    return raw[:at] + raw[at : at + chance.choice((1, 100, 5000))] + raw[at:]


def _zero(raw: bytearray, chance: Random) -> bytearray:
    at, count = _place(raw, chance), chance.choice((1, 100, 5000))
    return raw[:at] + bytes(len(raw[at : at + count])) + raw[at + count :]


def _splice(raw: bytearray, chance: Random) -> bytearray:
    _, other = _original(chance)
    return raw[: _place(raw, chance)] + other[_place(other, chance) :]


def _exaggerate(raw: bytearray, chance: Random) -> bytearray:
    at = _place(raw, chance)
    return raw[:at] + chance.choice(EXTREMES) + raw[at + 4 :]
