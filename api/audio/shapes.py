"""What OpenAI's audio API answers, as the OpenAPI page shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from api.audio.fields import TranslationForm

WORDS = {
    400: "A field cannot be used, or the recording cannot be decoded",
    404: "There is no such model",
    408: "The body came too slowly",
    413: "The body is too large",
    503: "Not able to, for now; Retry-After says when to come again",
}


class Usage(BaseModel):
    """What OpenAI would charge for."""

    type: Literal["duration"] = "duration"
    seconds: int


class Transcription(BaseModel):
    """An answer in `json`."""

    model_config = ConfigDict(extra="forbid")

    text: str
    usage: Usage


class Segment(BaseModel):
    """A segment as whisper has it."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class Word(BaseModel):
    """A word and when it was said."""

    word: str
    start: float
    end: float


class VerboseTranscription(BaseModel):
    """An answer in `verbose_json`."""

    model_config = ConfigDict(extra="forbid")

    task: Literal["transcribe", "translate"]
    language: str = Field(description="an English name, in lower case")
    duration: float
    text: str
    segments: list[Segment] = Field(default=[], description="unless only words were asked for")
    words: list[Word] = Field(default=[], description="with `timestamp_granularities[]=word`")
    usage: Usage


class Model(BaseModel):
    """A model that can be named."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The models that can be used at once."""

    object: Literal["list"] = "list"
    data: list[Model]


class ErrorDetail(BaseModel):
    """What happened and what to do."""

    message: str
    type: str
    param: str | None = Field(description="the field that it is about")
    code: str | None = Field(description="stable, for programs")


class ErrorAnswer(BaseModel):
    """An error as OpenAI's clients read it."""

    error: ErrorDetail


TRANSCRIPT: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Transcription | VerboseTranscription,
        "description": "The transcript, in the format that was asked for",
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "text/event-stream": {
                "schema": {"type": "string", "description": "`transcript.text.delta`, `transcript.text.done`"}
            },
        },
    }
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers these errors, and any other client error alike."""
    named: dict[int | str, dict[str, Any]] = {
        status: {"description": WORDS[status], "model": ErrorAnswer} for status in statuses
    }
    return {**named, "4XX": {"description": "The request cannot be granted", "model": ErrorAnswer}}


def form_body(form: type[TranslationForm]) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that reads this form and its file itself."""
    schema = form.model_json_schema()
    file = {"type": "string", "format": "binary", "description": "the recording: audio or video"}
    schema["properties"] = {"file": file, **schema["properties"]}
    schema["required"] = ["file", *schema["required"]]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
