"""What monitoring asks of the queue: tasks, how far they are, their files, and whom they tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from sqlalchemy import Select, bindparam, func, select, tuple_

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
    rows = [to_task(row) for row in connection.execute(_newest_tasks(**wanted).limit(limit + 1))]
    more = len(rows) > limit
    last = rows[limit - 1] if more else None
    return Page(tuple(rows[:limit]), f"{last.created_at!r}_{last.id}" if last else None)


def _newest_tasks(
    *,
    states: Iterable[TaskState] = (),
    dirname: bytes | None = None,
    updated_after: float | None = None,
    cursor: str | None = None,
) -> Select[Any]:
    newest = _TASKS
    if wanted := list(states):
        newest = newest.where(one_of(task.c.state, wanted))
    if dirname is not None:
        newest = newest.where(task.c.dirname == dirname)
    if updated_after is not None:
        newest = newest.where(task.c.updated_at > updated_after)
    if cursor is not None:
        newest = newest.where(tuple_(task.c.created_at, task.c.id) < tuple_(*_task_place(cursor)))
    return newest


def _files(
    connection: Connection,
    task_id: str,
    *,
    states: Iterable[FileState] = (),
    limit: int | None = None,
    cursor: str | None = None,
) -> Page:
    ordered = _FILES if limit is None else _FILES.limit(limit + 1)
    if wanted := list(states):
        ordered = ordered.where(one_of(file.c.state, wanted))
    if cursor is not None:
        ordered = ordered.where(tuple_(file.c.path, file.c.id) > tuple_(*_file_place(cursor)))
    rows = [to_file(row) for row in connection.execute(ordered, {"task_id": task_id})]
    if limit is None or len(rows) <= limit:
        return Page(tuple(rows), None)
    return Page(tuple(rows[:limit]), f"{rows[limit - 1].path.hex()}_{rows[limit - 1].id}")


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
