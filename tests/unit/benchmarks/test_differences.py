from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.differences import Transcript, asked_otherwise, difference, first_other, noted, parting


def transcript(**changed: Any) -> Transcript:
    segment = {"start": 0.0, "end": 1.0, "text": " Oui", "tokens": [1, 2], "words": None} | changed
    return Transcript({"text": segment["text"], "language": "fr", "segments": [segment]})


def heard(seek: int, tokens: list[int], temperature: float = 0.0) -> dict[str, Any]:
    answer = SimpleNamespace(
        tokens=tokens, temperature=temperature, avg_logprob=-1.0, no_speech_prob=0.5, compression_ratio=2.0
    )
    return noted(seek, 3000, [7] * 300, answer)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, None),
        ({"end": 1.0 + 1e-9}, None),
        ({"text": " Non"}, "text"),
        ({"tokens": [1, 3]}, "segments' tokens"),
        ({"end": 1.02}, "segments' times"),
        ({"words": [{"word": " Oui", "start": 0.0, "end": 0.9}]}, "words"),
    ],
)
def test_the_first_difference_is_named(changed: dict[str, Any], name: str | None) -> None:
    """Text before times, segments before words; the last digits of a float are no difference."""
    one = transcript(words=[{"word": " Oui", "start": 0.0, "end": 1.0}])
    other = transcript(**({"words": one.result["segments"][0]["words"]} | changed))

    assert difference(one, other) == name


def test_a_segment_more_is_a_difference() -> None:
    """Even one without text."""
    one, other = transcript(), transcript()
    other.result["segments"].append(transcript(text="", tokens=[]).result["segments"][0])

    assert difference(one, other) == "number of segments"


def test_transcripts_part_where_another_token_is_heard() -> None:
    """Or where something else is asked; what came after follows from it."""
    one = Transcript(decoded=[heard(0, [1, 2]), heard(3000, [3, 4]), heard(6000, [5])])
    answered = Transcript(decoded=[heard(0, [1, 2]), heard(3000, [3]), heard(4000, [5])])
    asked = Transcript(decoded=[heard(0, [1, 2]), heard(0, [1, 2], 0.2)])

    assert (parting(one, one), parting(one, answered)) == (None, (1, "answered"))
    assert parting(one, asked) == (1, "asked")
    assert "30.0 s at 0.0 and 0.0 s at 0.2" in asked_otherwise(one, asked, 1)


def test_the_end_is_a_token_too() -> None:
    """One side may say more."""
    assert first_other([3, 4], [3], end=9) == (1, 4, 9)
