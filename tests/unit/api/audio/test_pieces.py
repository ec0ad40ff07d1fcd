"""Pieces are told in the order of the recording, once each, and make up the text."""

import itertools
import random

import pytest

from api.audio.pieces import Pieces
from pipeline.relay.messages import Progress, Segment, Window

TEXTS = (" And so,", " my fellow Americans:", "", " ask not", " ", " what.")
WHOLE = "".join(TEXTS).strip()


def window(number: int) -> Window:
    start, text = number * 16_000, TEXTS[number]
    segments = (Segment(start=float(number), end=number + 1.0, text=text, tokens=()),) if text else ()
    return Window(start=start, end=start + 16_000, next_start=start + 16_000, segments=segments)


def progress(*numbers: int, position: float) -> Progress:
    windows = tuple(window(number) for number in numbers)
    return Progress(epoch=1, token=1, file_id=1, windows=windows, position=position)


def test_a_window_waits_for_those_before_it() -> None:
    pieces = Pieces()
    assert list(pieces.take(progress(1, position=0.0))) == []
    assert list(pieces.take(progress(0, position=2.0))) == ["And so,", " my fellow Americans:"]


def test_a_window_told_before_is_not_told_again() -> None:
    """A stage was lost, and another one began where the checkpoints end."""
    pieces = Pieces()
    assert list(pieces.take(progress(0, position=1.0))) == ["And so,"]
    assert list(pieces.take(progress(0, 1, position=2.0))) == [" my fellow Americans:"]


def test_space_at_an_end_waits_for_the_next_word() -> None:
    pieces = Pieces()
    assert list(pieces.take(progress(3, 4, position=5.0))) == ["ask not"]
    assert list(pieces.take(progress(5, position=6.0))) == ["  what."]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_order_the_pieces_make_up_the_text(seed: int) -> None:
    order = list(range(len(TEXTS)))
    random.Random(seed).shuffle(order)  # noqa: S311 - no secret
    pieces, told, done = Pieces(), [], set[int]()
    for number in order[:-1]:  # the last comes with the whole
        done.add(number)
        position = next(each for each in itertools.count() if each not in done)
        told += pieces.take(progress(number, position=float(position)))
    told += pieces.rest(WHOLE)
    assert "".join(told) == WHOLE
    assert "" not in told
