"""Cutting recordings at their pauses into pieces of one to five seconds: the same ones every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
SHORTEST = RATE
LONGEST = 5 * RATE
FRAME = RATE // 100
SMOOTH = 15  # frames: a pause is at least this long


def cut(pcm: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    """Return all of the samples, in order, as pieces of 1 to 5 s that end where it is quietest.

    A rest of less than a second goes with the piece before it, which may then be longer.
    """
    pieces, start = [], 0
    while len(pcm) - start > LONGEST:
        end = start + quietest(pcm[start : start + LONGEST])
        pieces.append(pcm[start:end])
        start = end
    if pieces and len(pcm) - start < SHORTEST:
        pieces[-1] = pcm[start - len(pieces[-1]) :]
        return pieces
    return [*pieces, pcm[start:]]


def quietest(pcm: NDArray[np.int16]) -> int:
    """Return the middle of the quietest stretch after the first second."""
    frames = pcm[: len(pcm) // FRAME * FRAME].astype(np.float64).reshape(-1, FRAME)
    loudness = np.convolve(np.square(frames).sum(axis=1), np.ones(SMOOTH), mode="valid")
    first = SHORTEST // FRAME
    return (first + int(np.argmin(loudness[first:])) + SMOOTH // 2) * FRAME
