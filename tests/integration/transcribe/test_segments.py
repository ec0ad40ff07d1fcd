from __future__ import annotations

import pytest
from whisper.tokenizer import get_tokenizer

from pipeline.stage.transcribe.segments import cut

TOKENIZER = get_tokenizer(multilingual=True, num_languages=99, language="en", task="transcribe")
HELLO = TOKENIZER.encode(" hello")
WORLD = TOKENIZER.encode(" world")


def at(seconds: float) -> int:
    return TOKENIZER.timestamp_begin + round(seconds / 0.02)


def spans(tokens: list[int], frames: int = 3000) -> list[tuple[float, float, str]]:
    return [
        (round(each.start, 2), round(each.end, 2), each.text)
        for each in cut(tokens, TOKENIZER, frames).segments
    ]


def test_pairs_of_timestamps_part_segments() -> None:
    """Each keeps its own timestamps; what began after the last pair is left for the next window."""
    tokens = [at(0), *HELLO, at(2), at(2.5), *WORLD, at(4), at(4)]

    assert spans(tokens) == [(0.0, 2.0, " hello"), (2.5, 4.0, " world")]
    assert pytest.approx(cut(tokens, TOKENIZER, 3000)[1:]) == (4.0, False)


def test_an_unfinished_segment_is_not_heard_yet() -> None:
    """Whisper seeks to the last pair and hears it again from there."""
    assert spans([at(0), *HELLO, at(2), at(2), *WORLD]) == [(0.0, 2.0, " hello")]


def test_a_single_timestamp_at_the_end_says_that_all_was_heard() -> None:
    """The window is consumed whole, however early the speech ended."""
    tokens = [at(0), *HELLO, at(2), at(2.5), *WORLD, at(4)]

    assert spans(tokens) == [(0.0, 2.0, " hello"), (2.5, 4.0, " world")]
    assert cut(tokens, TOKENIZER, 3000)[1:] == (30.0, True)


@pytest.mark.parametrize(
    ("tokens", "end"),
    [([at(0), *HELLO, at(3)], 3.0), ([at(0), *HELLO], 12.5), (HELLO, 12.5), ([], 12.5)],
    ids=["one timestamp", "only the beginning", "none", "no tokens"],
)
def test_without_a_pair_the_window_is_one_segment(tokens: list[int], end: float) -> None:
    """It ends at its last timestamp, else with the content; the window is consumed whole."""
    assert [end] == [round(each.end, 2) for each in cut(tokens, TOKENIZER, 1250).segments]
    assert cut(tokens, TOKENIZER, 1250).consumed == 12.5
