"""Fills a queue of ours by SQL alone: a million tasks of one file each, made in a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Integer, LargeBinary, String, case, cast, insert, literal, select

from pipeline.queue.tables import file, task
from pipeline.tasks import FileState, Source, TaskState

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Table

EVERY = 10  # one task in so many waits, the others are done
MTIME_NS = 1_700_000_000_000_000_000


def fill(connection: Connection, count: int, *, waiting: bool = True) -> None:
    """Add tasks t1, t2, … of the directories d1, d2, …, each with an empty file a.wav."""
    first = select(cast(1, Integer).label("i")).cte("number", recursive=True)
    number = first.union_all(select(first.c.i + 1).where(first.c.i < count)).c.i
    waits = (number % EVERY == 0) if waiting else (number < 0)
    name = literal("d") + cast(number, String)
    common = {"priority": literal(0), "created_at": literal(1.7e9) + number, "updated_at": literal(1.7e9)}
    tasks: dict[str, Any] = common | {
        "id": literal("t") + cast(number, String),
        "dirname": cast(name, LargeBinary),
        "state": case((waits, _name(task, TaskState.PENDING)), else_=_name(task, TaskState.COMPLETED)),
        "source": literal(Source.WATCH, task.c.source.type),
        "options": literal({}, JSON),
    }
    files: dict[str, Any] = common | {
        "task_id": tasks["id"],
        "path": cast(name + literal("/a.wav"), LargeBinary),
        "directory": tasks["dirname"],
        "state": case((waits, _name(file, FileState.QUEUED)), else_=_name(file, FileState.DONE)),
        "size": literal(0),
        "mtime_ns": literal(MTIME_NS),
        "options": literal({}, JSON),
        "text_key": literal(""),
        **dict.fromkeys(("epoch", "token", "attempts", "crashes"), literal(0)),
        "duration": literal(60.0),
        "position": literal(0.0),
        "outputs": literal([], JSON),
        "warnings": literal([], JSON),
    }
    for table, values in ((task, tasks), (file, files)):
        connection.execute(
            insert(table).from_select(list(values), select(*values.values()), include_defaults=False)
        )


def _name(table: Table, state: FileState | TaskState) -> ColumnElement[Any]:
    return literal(state, table.c.state.type)
