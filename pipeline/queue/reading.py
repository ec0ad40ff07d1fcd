"""What status, monitoring and recovery read from the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, func, select, tuple_

from pipeline.errors import UsageError
from pipeline.queue.counting import count, sum_up
from pipeline.queue.matching import BELOW, below, chunks, edges, guard, shown, within
from pipeline.queue.records import Event, Page, Seconds, Span
from pipeline.queue.rows import to_event, to_file, to_task
from pipeline.queue.statements import Statements
from pipeline.queue.tables import done, event, file, one_of, standing, task
from pipeline.tasks import ACTIVE, OPEN, WAITING, FileState, MediaFile, Task, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.queue.changes import Change

_ACTIVE = select(task).where(one_of(task.c.state, ACTIVE), shown(task.c.dirname))
_BELOW = select(file).where(BELOW)
_LOOSE = select(file).where(within(b"."))


class Reading(Statements):
    """The part of TaskStore that changes nothing but the length of the event list."""

    def task(self, task_id: str) -> Task | None:
        """Return one task."""
        if not (task_id.isascii() and task_id.isalnum()):
            return None  # a name that is not UTF-8 (`status NAME` asks first for an id), NUL: no database takes it
        with self._database.read() as connection:
            row = connection.execute(select(task).where(task.c.id == task_id)).one_or_none()
        return to_task(row) if row else None

    def tasks(
        self,
        *,
        states: Iterable[TaskState] = (),
        dirname: bytes | None = None,
        updated_after: float | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        """Return tasks, newest first. Raises UsageError for a cursor that no page gave."""
        listed = select(task).where(shown(task.c.dirname))
        newest = listed.order_by(task.c.created_at.desc(), task.c.id.desc()).limit(limit + 1)
        if wanted := list(states):
            newest = newest.where(one_of(task.c.state, wanted))
        if dirname is not None:
            newest = newest.where(task.c.dirname == dirname)
        if updated_after is not None:
            newest = newest.where(task.c.updated_at > updated_after)
        if cursor is not None:
            newest = newest.where(tuple_(task.c.created_at, task.c.id) < tuple_(*_task_place(cursor)))
        with self._database.read() as connection:
            rows = [to_task(row) for row in connection.execute(newest)]
        more = len(rows) > limit
        last = rows[limit - 1] if more else None
        return Page(tuple(rows[:limit]), f"{last.created_at!r}_{last.id}" if last else None)

    def active_dirnames(self) -> dict[str, bytes]:
        """Return the pending and running tasks, their dirnames by their ids."""
        active = _ACTIVE.with_only_columns(task.c.id, task.c.dirname)
        with self._database.read() as connection:
            return {row.id: row.dirname for row in connection.execute(active)}

    def active_at(self, dirnames: Iterable[bytes]) -> dict[bytes, Task]:
        """Return the pending and running tasks of exactly these dirnames, by dirname."""
        found: dict[bytes, Task] = {}
        with self._database.read() as connection:
            for some in chunks(list(dirnames)):
                rows = connection.execute(_ACTIVE.where(task.c.dirname.in_(some)))
                found |= {row.dirname: to_task(row) for row in rows}
        return found

    def without_open_files(self) -> list[Task]:
        """Return pending and running tasks none of whose files is open, oldest first."""
        is_open = exists().where(file.c.task_id == task.c.id, one_of(file.c.state, OPEN))
        over = _ACTIVE.where(~is_open).order_by(task.c.created_at, task.c.id)
        with self._database.read() as connection:
            return [to_task(row) for row in connection.execute(over)]

    def last_task(self, dirname: bytes) -> Task | None:
        """Return the newest task of exactly this dirname."""
        return next(iter(self.tasks(dirname=dirname, limit=1).rows), None)

    def task_of(self, path: bytes) -> Task | None:
        """Return the newest task that did a file at or below this path."""
        did = select(file.c.task_id).where(below(path))
        newest = select(task).where(task.c.id.in_(did)).order_by(task.c.created_at.desc(), task.c.id.desc())
        with self._database.read() as connection:
            row = connection.execute(newest.limit(1)).one_or_none()
        return to_task(row) if row else None

    def file(self, file_id: int) -> MediaFile | None:
        """Return one file."""
        with self._database.read() as connection:
            row = connection.execute(select(file).where(file.c.id == file_id)).one_or_none()
        return to_file(row) if row else None

    def files(
        self,
        task_id: str,
        *,
        states: Iterable[FileState] = (),
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page:
        """Return a task's files in path order, superseded ones left out.

        Raises UsageError for a cursor that no page gave.
        """
        ordered = select(file).where(file.c.task_id == task_id, standing).order_by(file.c.path, file.c.id)
        if wanted := list(states):
            ordered = ordered.where(one_of(file.c.state, wanted))
        if cursor is not None:
            ordered = ordered.where(tuple_(file.c.path, file.c.id) > tuple_(*_file_place(cursor)))
        if limit is not None:
            ordered = ordered.limit(limit + 1)
        with self._database.read() as connection:
            rows = [to_file(row) for row in connection.execute(ordered)]
        if limit is None or len(rows) <= limit:
            return Page(tuple(rows), None)
        return Page(tuple(rows[:limit]), f"{rows[limit - 1].path.hex()}_{rows[limit - 1].id}")

    def known(self, directory: bytes) -> dict[bytes, list[MediaFile]]:
        """Return the rows below `directory` that are not superseded, by path; of the root (`.`) its loose files."""
        loose = directory == b"."
        rows: dict[bytes, list[MediaFile]] = {}
        with self._database.read() as connection:
            found = connection.execute(_LOOSE if loose else _BELOW, {} if loose else edges(directory))
            for each in map(to_file, found):
                rows.setdefault(each.path, []).append(each)
        return rows

    def waiting(self, directory: bytes) -> set[bytes]:
        """Return the paths below `directory` that wait for a stage."""
        wait = select(file.c.path).where(within(directory), guard(file.c.state, WAITING))
        with self._database.read() as connection:
            return set(connection.scalars(wait))

    def done_twins(self, sha256: str) -> list[MediaFile]:
        """Return done rows (any path) of a source with this content."""
        with self._database.read() as connection:
            return [
                to_file(row) for row in connection.execute(select(file).where(file.c.sha256 == sha256, done))
            ]

    def sizes_done(self, size: int) -> bool:
        """Tell whether any done row's source has this size (only then is hashing worth it)."""
        with self._database.read() as connection:
            return bool(connection.scalar(select(exists().where(file.c.size == size, done))))

    def outputs_removed(self, path: bytes) -> bool:
        """Tell whether a done row of this path stands (its JSON may have been removed by the user)."""
        with self._database.read() as connection:
            return bool(connection.scalar(select(exists().where(file.c.path == path, standing, done))))

    def counts(self, task_ids: Sequence[str]) -> dict[str, dict[FileState, int]]:
        """Return for each task its files by state, superseded ones left out."""
        with self._database.read() as connection:
            return count(connection, task_ids)

    def sums(self, task_ids: Sequence[str]) -> dict[str, Seconds]:
        """Return for each task how far it is in seconds of audio; see Seconds."""
        with self._database.read() as connection:
            return sum_up(connection, task_ids)

    def in_state(self, *states: FileState) -> list[MediaFile]:
        """Return all files in these states (few: leased, committing, retry_wait, settling)."""
        with self._database.read() as connection:
            those = select(file).where(one_of(file.c.state, states), shown(file.c.path))
            return [to_file(row) for row in connection.execute(those.order_by(file.c.id))]

    def changed_since(self, event_id: int, limit: int = 1000, *, task_id: str | None = None) -> list[Event]:
        """Return events after this one, oldest first; with `task_id` only those of this task."""
        told = select(event, task.c.dirname).outerjoin(task, task.c.id == event.c.task_id)
        newer = told.where(event.c.id > event_id).order_by(event.c.id).limit(limit)
        if task_id is not None:
            newer = newer.where(event.c.task_id == task_id)
        with self._database.read() as connection:
            return [to_event(row) for row in connection.execute(newer)]

    def events_kept(self) -> Span:
        """Return which events can be told."""
        ends = (select(function(event.c.id)).scalar_subquery() for function in (func.min, func.max))
        with self._database.read() as connection:
            oldest, newest = connection.execute(select(*ends)).one()
        return Span(1, 0) if newest is None else Span(oldest, newest)

    def trim_events(self, keep: int) -> int:
        """Delete all but the newest `keep` events; return how many went."""
        oldest_out = select(event.c.id).order_by(event.c.id.desc()).offset(keep).limit(1).scalar_subquery()

        def run(change: Change) -> int:
            return change.connection.execute(delete(event).where(event.c.id <= oldest_out)).rowcount

        return self._write(run)


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
