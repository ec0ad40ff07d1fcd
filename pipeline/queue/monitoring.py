"""What monitoring asks of the queue: tasks, how far they are, their files, and whom they tell."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from sqlalchemy import Integer, Select, bindparam, func, select, tuple_

from pipeline.errors import UsageError
from pipeline.queue.counting import tally
from pipeline.queue.matching import THIS_TASK, shown
from pipeline.queue.records import Callback, Overview, Page
from pipeline.queue.rows import to_file, to_task
from pipeline.queue.statements import Statements
from pipeline.queue.tables import callback, delivery, file, one_of, standing, task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from pipeline.queue.records import Tally
    from pipeline.tasks import FileState, Task, TaskState

_TASK = select(task).where(THIS_TASK)
_TASKS = select(task).where(shown(task.c.dirname)).order_by(task.c.created_at.desc(), task.c.id.desc())
_FILES = select(file).where(file.c.task_id == bindparam("task_id"), standing).order_by(file.c.path, file.c.id)
_to_it = (delivery.c.task_id == callback.c.task_id, delivery.c.url == callback.c.url)
_newest = select(func.max(delivery.c.id)).where(*_to_it).correlate(callback).scalar_subquery()
_CALLBACKS = (
    select(callback.c.url, delivery.c.state, delivery.c.attempts, delivery.c.next_at, delivery.c.last_error)
    .outerjoin(delivery, delivery.c.id == _newest)
    .where(callback.c.task_id == bindparam("task_id"))
    .order_by(callback.c.url)
)
_LIMIT = bindparam("limit", type_=Integer)
_place = (bindparam("created_at", type_=task.c.created_at.type), bindparam("task_id", type_=task.c.id.type))
_NARROWER = {
    "dirname": task.c.dirname == bindparam("dirname"),
    "updated_after": task.c.updated_at > bindparam("updated_after"),
    "created_at": tuple_(task.c.created_at, task.c.id) < tuple_(*_place),
}
_BEYOND = tuple_(file.c.path, file.c.id) > tuple_(
    bindparam("path", type_=file.c.path.type), bindparam("file_id", type_=file.c.id.type)
)
KEPT = 64  # forms of statements: making one takes longer than running it


class TasksWanted(TypedDict, total=False):
    """Which tasks a page holds; all, where nothing is said."""

    states: Iterable[TaskState]
    dirname: bytes | None
    updated_after: float | None
    limit: int
    cursor: str | None


class FilesWanted(TypedDict, total=False):
    """Which of a task's files a page holds; all, where nothing is said."""

    states: Iterable[FileState]
    limit: int | None
    cursor: str | None


class Monitoring(Statements):
    """The part of TaskStore that tells how tasks stand. Each answer is of one moment.

    Pages raise UsageError for a cursor that no page gave.
    """

    def task(self, task_id: str) -> Task | None:
        """Return one task."""
        with self._database.read() as connection:
            return _task(connection, task_id)

    def tasks(self, **wanted: Unpack[TasksWanted]) -> Page:
        """Return tasks, newest first."""
        with self._database.read() as connection:
            return _tasks(connection, **wanted)

    def last_task(self, dirname: bytes) -> Task | None:
        """Return the newest task of exactly this dirname."""
        return next(iter(self.tasks(dirname=dirname, limit=1).rows), None)

    def files(self, task_id: str, **wanted: Unpack[FilesWanted]) -> Page:
        """Return a task's files in path order, superseded ones left out."""
        with self._database.read() as connection:
            return _files(connection, task_id, **wanted)

    def tallies(self, task_ids: Sequence[str]) -> Mapping[str, Tally]:
        """Return for each task its files by state and how far it is."""
        with self._database.read() as connection:
            return tally(connection, task_ids)

    def callbacks(self, task_id: str) -> list[Callback]:
        """Return whom a task tells of its ends, each with how the newest message to it stands."""
        with self._database.read() as connection:
            return _callbacks(connection, task_id)

    def listed(self, **wanted: Unpack[TasksWanted]) -> tuple[Page, Mapping[str, Tally]]:
        """Return tasks as `tasks` does, and their tallies."""
        with self._database.read() as connection:
            page = _tasks(connection, **wanted)
            return page, tally(connection, [each.id for each in page.rows])

    def overview(self, task_id: str, **wanted: Unpack[FilesWanted]) -> Overview | None:
        """Return all that is told of one task, with its files as `files` gives them."""
        with self._database.read() as connection:
            found = _task(connection, task_id)
            if found is None:
                return None
            return Overview(
                task=found,
                tally=tally(connection, [task_id])[task_id],
                files=_files(connection, task_id, **wanted),
                callbacks=_callbacks(connection, task_id),
            )


def _task(connection: Connection, task_id: str) -> Task | None:
    if not (task_id.isascii() and task_id.isalnum()):
        return (
            None  # a name that is not UTF-8 (`status NAME` asks first for an id), NUL: no database takes it
        )
    row = connection.execute(_TASK, {"task_id": task_id}).one_or_none()
    return to_task(row) if row else None


def _tasks(connection: Connection, *, limit: int = 100, **wanted: Any) -> Page:
    newest, asked = _newest_tasks(**wanted)
    rows = [to_task(row) for row in connection.execute(newest, {**asked, "limit": limit + 1})]
    more = len(rows) > limit
    last = rows[limit - 1] if more else None
    return Page(tuple(rows[:limit]), f"{last.created_at!r}_{last.id}" if last else None)


def _newest_tasks(
    *,
    states: Iterable[TaskState] = (),
    dirname: bytes | None = None,
    updated_after: float | None = None,
    cursor: str | None = None,
) -> tuple[Select[Any], dict[str, Any]]:
    """Return the statement, and what goes with its execution besides the limit."""
    created_at, task_id = (None, None) if cursor is None else _task_place(cursor)
    asked = {"dirname": dirname, "updated_after": updated_after, "created_at": created_at, "task_id": task_id}
    given = {name: value for name, value in asked.items() if value is not None}
    return _tasks_form(frozenset(states), frozenset(_NARROWER.keys() & given.keys())), given


@lru_cache(KEPT)
def _tasks_form(states: frozenset[TaskState], narrower: frozenset[str]) -> Select[Any]:
    newest = _TASKS.where(*(_NARROWER[name] for name in sorted(narrower))).limit(_LIMIT)
    return newest.where(one_of(task.c.state, states)) if states else newest


def _files(
    connection: Connection,
    task_id: str,
    *,
    states: Iterable[FileState] = (),
    limit: int | None = None,
    cursor: str | None = None,
) -> Page:
    form = _files_form(frozenset(states), limited=limit is not None, beyond=cursor is not None)
    given: dict[str, Any] = {"task_id": task_id}
    if limit is not None:
        given["limit"] = limit + 1
    if cursor is not None:
        given["path"], given["file_id"] = _file_place(cursor)
    rows = [to_file(row) for row in connection.execute(form, given)]
    if limit is None or len(rows) <= limit:
        return Page(tuple(rows), None)
    return Page(tuple(rows[:limit]), f"{rows[limit - 1].path.hex()}_{rows[limit - 1].id}")


@lru_cache(KEPT)
def _files_form(states: frozenset[FileState], *, limited: bool, beyond: bool) -> Select[Any]:
    ordered = _FILES.where(one_of(file.c.state, states)) if states else _FILES
    ordered = ordered.where(_BEYOND) if beyond else ordered
    return ordered.limit(_LIMIT) if limited else ordered


def _callbacks(connection: Connection, task_id: str) -> list[Callback]:
    return [Callback(*row) for row in connection.execute(_CALLBACKS, {"task_id": task_id})]


def _task_place(cursor: str) -> tuple[float, str]:
    created_at, _, task_id = cursor.partition("_")
    try:
        return float(created_at), task_id
    except ValueError:
        raise UsageError(f"cursor {cursor!r} is not one that a page gave") from None


def _file_place(cursor: str) -> tuple[bytes, int]:
    path, _, file_id = cursor.partition("_")
    try:
        # more than 18 digits are no id, and could not be compared with a column
        return bytes.fromhex(path), int(file_id[:18])
    except ValueError:
        raise UsageError(f"cursor {cursor!r} is not one that a page gave") from None
