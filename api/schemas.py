"""The bodies that go in and come out, as pydantic checks them and the OpenAPI page shows them."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from api.keys.key import Scope
from pipeline.options import POST_NAMES, Options
from pipeline.queue.records import DeliveryState
from pipeline.spool import PRIORITY
from pipeline.tasks import FileState, Source, TaskState

INT32 = 2**31 - 1

Format = Literal["txt", "srt", "vtt", "tsv", "json"]
_HELP = {each.name: each.metadata["help"] for each in fields(Options)}


# ---- in ----


def _no_default(schema: dict[str, Any]) -> None:
    """Leave null out: where an option is not given, the service's own default applies."""
    del schema["default"]


def _option(name: str, **more: Any) -> Any:
    """Describe one transcription option in its own words."""
    return Field(default=None, description=_HELP[name], json_schema_extra=_no_default, **more)


class Submission(BaseModel):
    """A directory or media file to transcribe, and what to do otherwise than the service does by default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dirname: str = Field(
        min_length=1,
        max_length=4096,
        description="a directory or one media file, relative to the workdir; '.' means its loose files",
        examples=["talks"],
    )
    model: str = _option("model")
    task: Literal["transcribe", "translate"] = _option("task")
    language: str | None = _option("language", examples=["French"])
    initial_prompt: str | None = _option("initial_prompt")
    word_timestamps: bool = _option("word_timestamps")
    output_format: str | list[Literal["all", Format]] = _option("output_format", examples=["srt,txt"])
    highlight_words: bool = _option("highlight_words")
    max_line_width: Annotated[int, Field(ge=1, le=INT32)] | None = _option("max_line_width")
    max_line_count: Annotated[int, Field(ge=1, le=INT32)] | None = _option("max_line_count")
    max_words_per_line: Annotated[int, Field(ge=1, le=INT32)] | None = _option("max_words_per_line")
    include: list[str] = Field(
        default=[], description="only files that match one of these globs", examples=[["*.mp3"]]
    )
    exclude: list[str] = Field(default=[], description="no file that matches one of these globs")
    priority: int = Field(default=0, ge=-INT32, lt=PRIORITY, description="higher goes first")
    force: bool = Field(default=False, description="transcribe again what is done")
    callback_url: HttpUrl | None = Field(
        default=None, description="told when the task ends, besides those named before"
    )

    def named(self) -> dict[str, Any]:
        """Return the transcription options that were spelled out; pipeline.options checks their values."""
        return self.model_dump(include=set(POST_NAMES), exclude_unset=True)


class Login(BaseModel):
    """The key that a browser shows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str = Field(
        min_length=1, max_length=200, description="as `whisper-transcription keys api add` printed it"
    )


class Forget(BaseModel):
    """Recordings whose transcripts and all that is remembered of them are to be erased."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str = Field(
        min_length=1,
        max_length=4096,
        description="a media file, or a directory with all below it, relative to the workdir; it may be gone",
        examples=["talks/monday.mp3"],
    )


# ---- out ----


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["about:blank"])
    title: str
    status: int
    detail: str = Field(description="what happened and what to do")
    code: str | None = Field(default=None, description="stable, for programs")


class TaskRef(BaseModel):
    """A task, and where to follow it."""

    task_id: str
    task_status: TaskState
    dirname: str
    monitoring_url: str = Field(description="path-absolute")


class FileProblem(BaseModel):
    """Why a file or task failed."""

    code: str = Field(description="stable, for programs")
    message: str


class FileAnswer(BaseModel):
    """One media file of a task."""

    path: str = Field(description="relative to the workdir; bytes that are not UTF-8 show as \\xNN")
    status: FileState
    progress: float = Field(ge=0, le=1)
    duration: float | None = Field(description="seconds of audio, once known")
    language: str | None
    attempts: int
    outputs: list[str]
    warnings: list[str]
    error: FileProblem | None


class TaskSummary(BaseModel):
    """A task without its files."""

    task_id: str
    task_status: TaskState
    dirname: str
    source: Source
    progress: float = Field(ge=0, le=1, description="by seconds of audio")
    eta_seconds: float | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    audio_seconds: float | None
    counts: dict[FileState, int]
    warnings: list[str]
    error: FileProblem | None


class CallbackAnswer(BaseModel):
    """Whom a task tells of its ends, and how the telling of the last one stands."""

    url: str = Field(description="without user, password and query")
    state: Literal["waiting"] | DeliveryState = Field(description="waiting: the task has not ended yet")
    attempts: int
    next_attempt_at: datetime | None
    last_error: str | None


class TaskAnswer(TaskSummary):
    """A task with its files, or the page of them that was asked for."""

    callbacks: list[CallbackAnswer]
    files: list[FileAnswer]
    next_cursor: str | None


class TaskList(BaseModel):
    """Tasks, newest first."""

    tasks: list[TaskSummary]
    next_cursor: str | None


class Alive(BaseModel):
    """The service answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The service accepts and does work; further members say with what."""

    model_config = ConfigDict(extra="allow")

    ready: Literal[True] = True


class Paused(BaseModel):
    """Whether batch work is paused now."""

    paused: bool


class LoggedIn(BaseModel):
    """Whose key it was, and what it allows."""

    name: str
    scopes: list[Scope]


class Forgotten(BaseModel):
    """What was erased."""

    path: str
    erased: list[str] = Field(description="outputs, relative to the workdir or the output directory")


class Requested(BaseModel):
    """A rescan begins as soon as it can."""

    rescan: Literal["requested"] = "requested"
