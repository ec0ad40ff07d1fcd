"""What server-sent events hold, and how the OpenAPI page shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.schemas import TaskSummary
from pipeline.tasks import FileState, TaskState


class TaskEvent(BaseModel):
    """A task came into being or changed its status."""

    task_id: str
    at: datetime
    dirname: str | None = Field(description="null once the task was forgotten")
    task_status: TaskState
    code: str | None = Field(description="why the task as a whole failed; stable, for programs")


class _AboutFile(BaseModel):
    task_id: str
    at: datetime
    path: str = Field(description="relative to the workdir; bytes that are not UTF-8 show as \\xNN")
    status: FileState


class FileEvent(_AboutFile):
    """A media file was found or changed its status."""

    code: str | None = Field(description="why it failed or waits; stable, for programs")


class ProgressEvent(_AboutFile):
    """A media file is further transcribed."""

    progress: float = Field(ge=0, le=1)
    duration: float | None = Field(description="seconds of audio, once known")


class EventsMissed(BaseModel):
    """Events after the one that was named are no longer kept: ask for the state anew; what follows begins now."""

    code: Literal["events_missed"]
    detail: str


def _event(name: str, model: type[BaseModel], *, in_table: bool = True) -> dict[str, Any]:
    """Return the shape of a server-sent event as OpenAPI 3.2 (4.14.4) and FastAPI's own streams show it."""
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": model.model_json_schema(),
    }
    shown: dict[str, Any] = {"event": {"const": name}, "data": data}
    if in_table:
        shown["id"] = {"type": "string", "description": "what Last-Event-ID resumes after"}
    return {"type": "object", "properties": shown, "required": list(shown)}


_START = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "retry": {"type": "integer", "description": "milliseconds"}},
    "required": ["id", "retry"],
}

EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events as they come; comments are heartbeats",
        "content": {
            "text/event-stream": {
                "itemSchema": {
                    "anyOf": [
                        _event("task", TaskEvent),
                        _event("file", FileEvent),
                        _event("progress", ProgressEvent),
                        _event("summary", TaskSummary, in_table=False),
                        _event("missed", EventsMissed, in_table=False),
                        _START,
                    ]
                }
            }
        },
    },
    204: {"description": "The task has ended, and all was told"},
}
