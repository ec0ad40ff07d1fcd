"""Short recordings are cut from long ones at their pauses, the same way every time."""

import numpy as np
import pytest

from benchmarks.pieces import LONGEST, RATE, SHORTEST, cut


def speech(*seconds: float) -> np.ndarray:
    """Return stretches of noise of these lengths with a third of a second of silence after each."""
    random = np.random.default_rng(1)
    parts = []
    for length in seconds:
        parts += [random.integers(-9000, 9000, int(length * RATE)), np.zeros(RATE // 3, int)]
    return np.concatenate(parts).astype(np.int16)


@pytest.mark.parametrize("seconds", [(0.5,), (3.0, 3.0, 3.0), (0.4,) * 40, (12.0,), (4.9, 0.2)])
def test_pieces_are_all_of_the_recording_in_order(seconds: tuple[float, ...]) -> None:
    """Nothing is lost and nothing is doubled: the pieces' texts together are the recording's."""
    pcm = speech(*seconds)
    assert np.array_equal(np.concatenate(cut(pcm)), pcm)


def test_pieces_last_one_to_five_seconds() -> None:
    """Every piece but the last, which takes a rest of less than a second with it."""
    pieces = cut(speech(2.0, 0.7, 9.0, 3.3, 1.1, 4.0))
    assert all(SHORTEST <= len(piece) <= LONGEST for piece in pieces[:-1])
    assert SHORTEST <= len(pieces[-1]) < LONGEST + SHORTEST


def test_pieces_end_in_pauses() -> None:
    """Words are not cut where there is a pause within reach."""
    assert [np.abs(piece[-RATE // 20 :]).max() for piece in cut(speech(3.0, 3.0, 3.0))] == [0, 0, 0]
