"""Options that somebody named: what is taken, and what is refused with the way out."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import BadOptionsError
from pipeline.named import parse_named
from pipeline.options import POST_NAMES


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        ({"langage": "fr"}, "language"),
        ({"language": "Frensh"}, "french"),
        ({"language": 5}, "text"),
        ({"task": "transcripe"}, "transcribe"),
        ({"word_timestamps": "yes"}, "true or false"),
        ({"max_line_width": 0}, "at least 1"),
        ({"max_line_width": True}, "whole number"),
        ({"initial_prompt": "a\0b"}, "NUL"),
        ({"output_format": "doc"}, "all or a list"),
        ({"temperature": float("nan")}, "number"),
        ({"temperature": -0.1}, "0 to 1, not -0.1"),
        ({"temperature_increment_on_fallback": 0}, "0.01 to 1"),
        ({"length_penalty": 1.5}, "0 to 1"),
        ({"patience": 0}, "0.01 to 100"),
        ({"no_speech_threshold": 2}, "0 to 1"),
        ({"hallucination_silence_threshold": -1}, "at least 0"),
        ({"beam_size": 0}, "at least 1"),
        ({"beam_size": 101}, "1 to 100"),
        ({"suppress_tokens": "a,b"}, "token ids"),
        ({"suppress_tokens": "1,,2"}, "token ids"),
        ({"suppress_tokens": "-2"}, "token ids"),
        ({"suppress_tokens": "99999"}, "token ids"),
        ({"clip_timestamps": "x"}, "seconds with commas"),
        ({"clip_timestamps": "30,10"}, "later"),
        ({"initial_prompt": "a" * 4001}, "at most 4000"),
    ],
)
def test_a_bad_option_is_refused_with_what_would_do(raw: dict[str, Any], hint: str) -> None:
    """The message holds the way out."""
    with pytest.raises(BadOptionsError, match=hint):
        parse_named(raw)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("suppress_tokens", ""),
        ("suppress_tokens", "-1,50257"),
        ("clip_timestamps", ""),
        ("clip_timestamps", "0,30.5,60"),
        ("temperature_increment_on_fallback", None),
        ("length_penalty", 1.0),
        ("initial_prompt", "a" * 4000),
        ("logprob_threshold", -20.0),
    ],
)
def test_what_whisper_takes_is_taken(name: str, value: Any) -> None:
    """The ranges refuse nothing that works."""
    assert parse_named({name: value}) == {name: value}


def test_post_takes_its_own_options_only() -> None:
    """Decoding internals are the operator's."""
    with pytest.raises(BadOptionsError):
        parse_named({"temperature": 0.5}, POST_NAMES)


def test_subtitle_options_imply_words_unless_those_are_named() -> None:
    """A line width needs words."""
    assert parse_named({"max_line_width": 40})["word_timestamps"] is True
    assert parse_named({"max_line_width": 40, "word_timestamps": False})["word_timestamps"] is False
