"""A transcript in each format."""

from typing import Any

import msgspec
import pytest

from api.audio.answers import whole
from api.audio.fields import Asked
from api.audio.waiting import Heard
from pipeline.options import Options
from pipeline.relay.messages import Result, Segment, Window

WORDS = ({"word": " Été", "start": 0.0, "end": 0.5, "probability": 0.9},)


def heard(language: str | None = "fr", *, segments: bool = True, **options: Any) -> Heard:
    segment = Segment(
        start=0.0, end=1.0, text=" Été.", tokens=(1,), words=WORDS if options.get("word_timestamps") else None
    )
    window = Window(start=0, end=16_000, next_start=16_000, segments=(segment,) if segments else ())
    result = Result(
        epoch=1, token=1, file_id=1, windows=(window,), language=language, duration=None, decoded=1.2, size=1,
        mtime_ns=1, sha256="", model="base", model_sha256="",
    )  # fmt: skip
    return Heard(result, Options(**options))


def said(heard: Heard, **asked: Any) -> Any:
    answer = whole(heard, Asked(options={}, **asked))
    assert answer.headers["content-type"] == "application/json"
    return msgspec.json.decode(answer.body)


def test_begun_seconds_count() -> None:
    assert said(heard()) == {"text": "Été.", "usage": {"type": "duration", "seconds": 2}}


@pytest.mark.parametrize(
    ("response_format", "body"),
    [
        ("text", "Été.\n"),
        ("srt", "1\n00:00:00,000 --> 00:00:01,000\nÉté.\n\n"),
        ("vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\nÉté.\n\n"),
    ],
)
def test_text_and_subtitles_are_plain_text(response_format: Any, body: str) -> None:
    answer = whole(heard(), Asked(options={}, response_format=response_format))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert bytes(answer.body).decode() == body


def test_subtitles_are_laid_out_as_the_service_does_it() -> None:
    options = {"word_timestamps": True, "highlight_words": True}
    answer = whole(heard(**options), Asked(options={}, response_format="srt"))
    assert "<u>Été</u>" in bytes(answer.body).decode()


def test_verbose_json_names_the_language_in_english() -> None:
    answer = said(heard(), response_format="verbose_json")
    assert (answer["task"], answer["language"], answer["duration"]) == ("transcribe", "french", 1.2)
    assert answer["segments"][0]["text"] == " Été."
    assert "words" not in answer


def test_a_translation_is_english() -> None:
    answer = said(heard(task="translate"), response_format="verbose_json")
    assert (answer["task"], answer["language"]) == ("translate", "english")


def test_words_are_told_when_asked_for_and_only_then() -> None:
    """Even where the service's own options have them made."""
    timed = heard(word_timestamps=True)
    answer = said(timed, response_format="verbose_json", words=True, segments=False)
    assert answer["words"] == [{"word": "Été", "start": 0.0, "end": 0.5}]
    assert "segments" not in answer
    assert "words" not in said(timed, response_format="verbose_json")["segments"][0]


def test_silence_is_an_empty_text_in_no_language() -> None:
    answer = said(heard(None, segments=False), response_format="verbose_json", words=True)
    assert (answer["text"], answer["language"], answer["segments"], answer["words"]) == ("", "", [], [])
