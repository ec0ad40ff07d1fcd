"""What a form asks for, field by field."""

from typing import Any

import pytest

from api.audio.errors import FieldError, UnknownModelError
from api.audio.fields import Asked, TranscriptionForm, TranslationForm, asked
from pipeline.named import PROMPT_CHARS

MODEL = ("model", "whisper-1")


def ask(*fields: tuple[str, str]) -> Asked:
    return asked(TranscriptionForm, [MODEL, *fields], "base")


def test_whisper_1_is_the_configured_model() -> None:
    """Whatever it is, a path too: nothing is named, so the service's own options hold."""
    assert ask().options == {"task": "transcribe"}
    assert asked(TranscriptionForm, [MODEL], "/models/ours.pt").options == {"task": "transcribe"}
    assert asked(TranscriptionForm, [("model", "base")], "base").options == {"task": "transcribe"}


def test_whispers_own_names_are_models_and_nothing_else_is() -> None:
    assert asked(TranscriptionForm, [("model", "tiny.en")], "base").options["model"] == "tiny.en"
    for name in ("gpt-4o-transcribe", "/models/ours.pt", "../base", "BASE"):
        with pytest.raises(UnknownModelError):
            asked(TranscriptionForm, [("model", name)], "base")


def test_every_field_becomes_an_option() -> None:
    heard = ask(
        ("language", "fr"), ("prompt", "Ondes"), ("temperature", "0.4"), ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment"), ("stream", "true"),
    )  # fmt: skip
    assert heard == Asked(
        options={
            "task": "transcribe", "language": "fr", "initial_prompt": "Ondes", "temperature": 0.4,
            "word_timestamps": True,
        },
        response_format="verbose_json",
        words=True,
        segments=True,
        stream=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["timestamp_granularities", "timestamp_granularities[]"])
def test_a_list_may_come_without_brackets(name: str) -> None:
    heard = ask(("response_format", "verbose_json"), (name, "word"))
    assert (heard.words, heard.segments) == (True, False)


def test_fields_left_empty_and_unknown_ones_ask_for_nothing() -> None:
    """Forms of browsers send all they have, and clients what other services know."""
    fields = [
        ("language", ""),
        ("prompt", ""),
        ("temperature", ""),
        ("stream", ""),
        ("timestamp_granularities[]", ""),
        ("include[]", ""),
        ("hotwords", "x"),
        ("user", "me"),
    ]
    assert ask(*fields) == Asked(options={"task": "transcribe"})


def test_of_a_long_prompt_the_end_counts() -> None:
    """As OpenAI's API has it: whisper reads no more than the end."""
    assert ask(("prompt", "a" * 9000 + "b")).options["initial_prompt"] == "a" * (PROMPT_CHARS - 1) + "b"


@pytest.mark.parametrize("response_format", ["json", "text"])
def test_json_and_text_can_be_streamed(response_format: str) -> None:
    assert ask(("stream", "1"), ("response_format", response_format)).stream


@pytest.mark.parametrize("response_format", ["srt", "vtt", "verbose_json"])
def test_other_formats_are_answered_whole(response_format: str) -> None:
    """As OpenAI answers for whisper-1, whose stream is ignored."""
    assert not ask(("stream", "true"), ("response_format", response_format)).stream


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("model", [("model", "")]),
        ("response_format", [MODEL, ("response_format", "diarized_json")]),
        ("response_format", [MODEL, ("response_format", "JSON")]),
        ("temperature", [MODEL, ("temperature", "warm")]),
        ("temperature", [MODEL, ("temperature", "nan")]),
        ("temperature", [MODEL, ("temperature", "-1")]),
        ("language", [MODEL, ("language", "xx")]),
        ("prompt", [MODEL, ("prompt", "\0")]),
        ("stream", [MODEL, ("stream", "maybe")]),
        ("timestamp_granularities[]", [MODEL, ("timestamp_granularities[]", "word")]),
        ("include[]", [MODEL, ("include[]", "logprobs")]),
        ("known_speaker_references[]", [MODEL, ("known_speaker_references[]", "data:")]),
    ],
)
def test_what_cannot_be_used_is_named(param: str, fields: list[tuple[str, str]]) -> None:
    with pytest.raises(FieldError) as raised:
        asked(TranscriptionForm, fields, "base")
    assert raised.value.param == param


def test_a_translation_knows_fewer_fields() -> None:
    """Those of a transcription are as unknown as any other."""
    fields: list[tuple[str, Any]] = [
        *(MODEL, ("language", "xx"), ("stream", "maybe")),
        *(("timestamp_granularities[]", "word"), ("include[]", "logprobs")),
    ]
    assert asked(TranslationForm, fields, "base") == Asked(options={"task": "translate"})
