"""What the fields of a form ask for, as OpenAI's API reads them; those that it does not know are left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.audio.errors import FieldError
from api.audio.models import chosen
from pipeline.errors import BadOptionsError
from pipeline.named import PROMPT_CHARS, parse_named

if TYPE_CHECKING:
    from collections.abc import Iterable

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
STREAMED = frozenset({"json", "text"})  # the others are answered whole, as OpenAI answers for whisper-1
LISTS = frozenset({"timestamp_granularities", "include", "known_speaker_names", "known_speaker_references"})
REFUSED = {
    "include": "log probabilities are not told; leave `include[]` out",
    "known_speaker_names": "speakers are not told apart here",
    "known_speaker_references": "speakers are not told apart here",
}


class TranslationForm(BaseModel):
    """A recording to be translated into English."""

    model_config = ConfigDict(title="Translation")

    model: str = Field(
        description="`whisper-1` for the model that is configured, or one of whisper's names",
        examples=["whisper-1"],
    )
    prompt: str | None = Field(default=None, description="text given to the model as context")
    response_format: ResponseFormat = "json"
    temperature: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)


class TranscriptionForm(TranslationForm):
    """A recording to be transcribed."""

    model_config = ConfigDict(title="Transcription")

    language: str | None = Field(
        default=None, description="language spoken, as ISO 639-1 has it; detected if not given"
    )
    stream: bool = Field(default=False, description="tell json or text piece by piece, as it is made")
    timestamp_granularities: list[Literal["word", "segment"]] = Field(
        default=[], alias="timestamp_granularities[]", description="with verbose_json; `segment` by default"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client asked for."""

    options: dict[str, Any]  # of the transcription, as the queue keeps them
    response_format: ResponseFormat = "json"
    stream: bool = False
    words: bool = False
    segments: bool = True


def asked(form: type[TranslationForm], fields: Iterable[tuple[str, str]], configured: str) -> Asked:
    """Return what a form's fields ask for, `configured` being the service's own model.

    Raises FieldError, which names the field; UnknownModelError.
    """
    given = _gathered(fields)
    transcribes = form is TranscriptionForm
    _refuse(given, LISTS & REFUSED.keys() if transcribes else ())
    wanted = _checked(form, given)
    options = chosen(wanted.model, configured) | _options(wanted)
    if not isinstance(wanted, TranscriptionForm):
        return Asked(options=options, response_format=wanted.response_format)
    granularities = wanted.timestamp_granularities
    if granularities and wanted.response_format != "verbose_json":
        raise FieldError(
            "timestamp_granularities[] needs response_format=verbose_json", "timestamp_granularities[]"
        )
    words = "word" in granularities
    return Asked(
        options=options | ({"word_timestamps": True} if words else {}),
        response_format=wanted.response_format,
        stream=wanted.stream and wanted.response_format in STREAMED,
        words=words,
        segments="segment" in granularities or not granularities,
    )


def _gathered(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the values by name: of a list all, of another the last; empty ones were not filled in."""
    given: dict[str, Any] = {}
    for name, value in fields:
        bare = name.removesuffix("[]")
        if value and bare in LISTS:
            given.setdefault(f"{bare}[]", []).append(value)
        elif value:
            given[name] = value
    return given


def _refuse(given: dict[str, Any], names: Iterable[str]) -> None:
    """Refuse what OpenAI's API knows and this service cannot do, rather than answer something else."""
    for name in names:
        if f"{name}[]" in given:
            raise FieldError(REFUSED[name], f"{name}[]")
    if given.get("response_format") == "diarized_json":
        raise FieldError(
            "diarized_json needs speakers to be told apart, which is not done here; use verbose_json",
            "response_format",
        )


def _checked(form: type[TranslationForm], given: dict[str, Any]) -> TranslationForm:
    try:
        return form.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        said = "it is missing" if first["type"] == "missing" else first["msg"]
        raise FieldError(f"{name}: {said[:1].lower()}{said[1:]}", name) from error


def _options(wanted: TranslationForm) -> dict[str, Any]:
    """Return the options that these fields stand for."""
    language = getattr(wanted, "language", None)
    task = "transcribe" if isinstance(wanted, TranscriptionForm) else "translate"
    prompt = (
        wanted.prompt and wanted.prompt[-PROMPT_CHARS:]
    )  # whisper reads its end only, whatever its length
    named = {
        "task": ("task", task),
        "language": ("language", language),
        "initial_prompt": ("prompt", prompt),
        "temperature": ("temperature", wanted.temperature),
    }
    options: dict[str, Any] = {}
    for name, (field, value) in named.items():
        if value is not None:
            options |= _option(name, value, field)
    return options


def _option(name: str, value: object, field: str) -> dict[str, Any]:
    try:
        return parse_named({name: value})
    except BadOptionsError as error:
        raise FieldError(str(error), field) from error
