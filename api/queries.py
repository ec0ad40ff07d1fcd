"""What the query of a URL may say, as pydantic checks it and the OpenAPI page shows it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from api.schemas import Format
from pipeline.tasks import FileState, TaskState

PAGE_MAX = 500
FILES_PAGE_MAX = 10_000
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d{1,9})?)(?:([Zz])|([+ -])(\d\d:\d\d))")


def _moment(text: str) -> float:
    """Return an RFC 3339 time as seconds since the epoch; a space is what an unquoted '+' becomes in a URL."""
    match = RFC3339.fullmatch(text)
    if not match:
        raise ValueError("give an RFC 3339 time such as 2026-01-31T08:00:00Z")
    day, time, utc, sign, offset = match.groups()
    zone = "+00:00" if utc else f"{sign.replace(' ', '+')}{offset}"
    return datetime.fromisoformat(f"{day}T{time}{zone}").timestamp()


Moment = Annotated[
    float,
    BeforeValidator(
        _moment, json_schema_input_type=Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    ),
]


def _filled(value: object) -> object:
    """Take a parameter that was left empty (`?limit=&cursor=`) for one that was not given."""
    return None if value == "" else value


def _digits(value: object) -> object:
    """Take digits alone for a number, where pydantic would read `+0.0` too; an empty one was not given."""
    if isinstance(value, str) and value and not (value.isascii() and value.isdigit()):
        raise ValueError("the id of an event is made of digits")
    return _filled(value)


_Tasks = Annotated[int, Field(ge=1, le=PAGE_MAX)]
_Files = Annotated[int, Field(ge=1, le=FILES_PAGE_MAX)]
_Event = Annotated[int, Field(ge=0, le=2**63 - 1)]
EventId = Annotated[
    _Event | None, BeforeValidator(_digits, json_schema_input_type=_Event | Literal[""] | None)
]
Cursor = Annotated[str | None, BeforeValidator(_filled)]
TasksLimit = Annotated[
    _Tasks | None, BeforeValidator(_filled, json_schema_input_type=_Tasks | Literal[""] | None)
]
FilesLimit = Annotated[
    _Files | None, BeforeValidator(_filled, json_schema_input_type=_Files | Literal[""] | None)
]
FilesFilter = FileState | Literal["all", "failed"]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FilesQuery(_Query):
    """Which files of a task are wanted."""

    files: FilesFilter = Field(
        default="all", description="a file status; `failed` includes quarantined files"
    )
    limit: FilesLimit = Field(default=None, description="files in an answer; all by default")
    cursor: Cursor = Field(default=None, description="the `next_cursor` of the page before")


class EventsQuery(_Query):
    """Whose events are wanted, from where."""

    task_id: str | None = Field(default=None, description="of this task alone, until it has ended")
    lastEventId: EventId = Field(  # noqa: N815 - the name that polyfills of EventSource give it
        default=None, description="instead of the header Last-Event-ID, for clients that cannot send it"
    )


class TranscriptQuery(_Query):
    """Which of a file's outputs is wanted."""

    format: Format = "txt"


class TasksQuery(_Query):
    """Which tasks are wanted; or, with `task_id`, one of them as GET /monitoring/{task_id} answers."""

    task_id: str | None = Field(default=None, description="answer as GET /monitoring/{task_id}")
    files: FilesFilter | None = Field(default=None, description="with `task_id` only")
    status: list[TaskState] = Field(default=[], description="tasks in one of these states")
    dirname: str | None = Field(
        default=None, max_length=4096, description="tasks of exactly this directory or file"
    )
    updated_after: Moment | None = Field(
        default=None, description="tasks that changed after this RFC 3339 time"
    )
    limit: TasksLimit = Field(default=None, description="tasks in an answer; 100 by default")
    cursor: Cursor = Field(default=None, description="the `next_cursor` of the page before")

    @model_validator(mode="after")
    def _one_or_many(self) -> TasksQuery:
        if self.task_id is None and self.files is not None:
            raise ValueError("files goes with task_id only")
        if self.task_id is not None and self.model_fields_set & {"status", "dirname", "updated_after"}:
            raise ValueError("task_id names one task: leave status, dirname and updated_after out")
        return self
