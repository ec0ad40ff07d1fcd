"""Options: what a named one changes, and what contradicts a transcript that lies there."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.options import Options, as_json, contradicts, merge, text_key


def test_an_english_model_speaks_english() -> None:
    """As whisper's command line: a .en model knows no other language."""
    assert merge(Options(language="fr"), {"model": "tiny.en"}).language == "en"


def test_the_text_key_knows_only_what_changes_the_text() -> None:
    """Formats and widths are rendered again, not transcribed again."""
    assert text_key({"output_format": ("srt",)}) == ""
    assert text_key({"language": "fr"}) == text_key({"language": "fr", "max_line_width": 3})
    assert text_key({"language": "fr"}) != text_key({"language": "en"})


@pytest.mark.parametrize(
    ("named", "language", "expected"),
    [
        ({}, "fr", False),
        ({"language": "fr"}, "fr", False),
        ({"language": "en"}, "fr", True),
        ({"language": None}, "fr", False),
        ({"model": "small"}, "fr", True),
        ({"word_timestamps": True}, "fr", True),
        ({"output_format": ("txt",)}, "fr", False),
    ],
)
def test_only_a_different_wish_contradicts_a_transcript(
    named: dict[str, Any], language: str, expected: bool
) -> None:
    """Naming what was found anyway redoes nothing."""
    assert contradicts(named, as_json(Options()), language) is expected
