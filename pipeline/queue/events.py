"""The events of one transaction: what live listeners are told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from pipeline.queue.records import EventKind
from pipeline.queue.tables import event
from pipeline.tasks import display

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from pipeline.tasks import MediaFile, Problem, Task

_ADD = insert(event).inline()  # nobody asks for their ids


class Events:
    """Gathers the events of one moment, to be appended by one statement."""

    def __init__(self, at: float) -> None:
        self._at = at
        self._rows: list[dict[str, Any]] = []

    def of_files(self, files: Iterable[MediaFile], kind: EventKind) -> None:
        """Tell of these files."""
        for each in files:
            self._add(each.task_id, each.id, kind, each.state, _about(each, kind))

    def of_tasks(self, tasks: Iterable[Task]) -> None:
        """Tell of these tasks."""
        for each in tasks:
            self._add(each.id, None, EventKind.TASK, each.state, _code(each.error))

    def append(self, connection: Connection) -> None:
        """Append what was gathered, in its order."""
        if self._rows:
            connection.execute(_ADD, self._rows)
            self._rows = []

    def _add(
        self, task_id: str, file_id: int | None, kind: EventKind, state: str, detail: dict[str, Any]
    ) -> None:
        self._rows.append(
            {
                "at": self._at,
                "task_id": task_id,
                "file_id": file_id,
                "kind": kind,
                "state": state,
                "detail": detail,
            }
        )


def _about(each: MediaFile, kind: EventKind) -> dict[str, Any]:
    detail = {"path": display(each.path), **_code(each.error)}
    if kind is EventKind.PROGRESS:
        detail |= {"position": each.position, "duration": each.duration}
    return detail


def _code(problem: Problem | None) -> dict[str, Any]:
    return {"code": problem.code} if problem else {}
