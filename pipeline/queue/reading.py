"""What ingest, recovery and live listeners read from the queue."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, Select, bindparam, delete, exists, func, select

from pipeline.queue.matching import BELOW, below, chunks, edges, guard, shown, within
from pipeline.queue.records import Event, Span
from pipeline.queue.rows import to_event, to_file, to_task
from pipeline.queue.statements import Statements
from pipeline.queue.tables import done, event, file, one_of, standing, task
from pipeline.tasks import ACTIVE, OPEN, WAITING, FileState, MediaFile, Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.queue.changes import Change

# Statements made once: making one takes longer than running it.
_ACTIVE = select(task).where(one_of(task.c.state, ACTIVE), shown(task.c.dirname))
_ACTIVE_NAMES = _ACTIVE.with_only_columns(task.c.id, task.c.dirname)
_ACTIVE_AT = _ACTIVE.where(task.c.dirname.in_(bindparam("dirnames", expanding=True)))
_OPEN_OF_IT = exists().where(file.c.task_id == task.c.id, one_of(file.c.state, OPEN))
_OVER = _ACTIVE.where(~_OPEN_OF_IT).order_by(task.c.created_at, task.c.id)
_FILE = select(file).where(file.c.id == bindparam("file_id"))
_NEWEST = select(func.max(file.c.id))
_BELOW = select(file).where(BELOW)
_LOOSE = select(file).where(within(b"."))
_WAITS = guard(file.c.state, WAITING)
_WAITING_BELOW = select(file.c.path).where(BELOW, _WAITS)
_WAITING_LOOSE = select(file.c.path).where(within(b"."), _WAITS)
_TWINS = select(file).where(file.c.sha256 == bindparam("sha256"), done)
_SIZE_DONE = select(exists().where(file.c.size == bindparam("size"), done))
_DONE_AT = select(exists().where(file.c.path == bindparam("path"), standing, done))
_TOLD = select(event, task.c.dirname).outerjoin(task, task.c.id == event.c.task_id)
_LIMIT = bindparam("limit", type_=Integer)
_NEWER = _TOLD.where(event.c.id > bindparam("after")).order_by(event.c.id).limit(_LIMIT)
_NEWER_OF_TASK = _NEWER.where(event.c.task_id == bindparam("task_id"))
_ENDS = select(*(select(function(event.c.id)).scalar_subquery() for function in (func.min, func.max)))


class Reading(Statements):
    """The part of TaskStore that changes nothing but the length of the event list."""

    def active_dirnames(self) -> dict[str, bytes]:
        """Return the pending and running tasks, their dirnames by their ids."""
        with self._database.read() as connection:
            return {row.id: row.dirname for row in connection.execute(_ACTIVE_NAMES)}

    def active_at(self, dirnames: Iterable[bytes]) -> dict[bytes, Task]:
        """Return the pending and running tasks of exactly these dirnames, by dirname."""
        found: dict[bytes, Task] = {}
        with self._database.read() as connection:
            for some in chunks(list(dirnames)):
                rows = connection.execute(_ACTIVE_AT, {"dirnames": some})
                found |= {row.dirname: to_task(row) for row in rows}
        return found

    def without_open_files(self) -> list[Task]:
        """Return pending and running tasks none of whose files is open, oldest first."""
        with self._database.read() as connection:
            return [to_task(row) for row in connection.execute(_OVER)]

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
            row = connection.execute(_FILE, {"file_id": file_id}).one_or_none()
        return to_file(row) if row else None

    def newest_file(self) -> int:
        """Return the id of the newest file: those that come have larger ones. 0 where there is none."""
        with self._database.read() as connection:
            return int(connection.scalar(_NEWEST) or 0)

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
        loose = directory == b"."
        with self._database.read() as connection:
            if loose:
                return set(connection.scalars(_WAITING_LOOSE))
            return set(connection.scalars(_WAITING_BELOW, edges(directory)))

    def done_twins(self, sha256: str) -> list[MediaFile]:
        """Return done rows (any path) of a source with this content."""
        with self._database.read() as connection:
            return [to_file(row) for row in connection.execute(_TWINS, {"sha256": sha256})]

    def sizes_done(self, size: int) -> bool:
        """Tell whether any done row's source has this size (only then is hashing worth it)."""
        with self._database.read() as connection:
            return bool(connection.scalar(_SIZE_DONE, {"size": size}))

    def outputs_removed(self, path: bytes) -> bool:
        """Tell whether a done row of this path stands (its JSON may have been removed by the user)."""
        with self._database.read() as connection:
            return bool(connection.scalar(_DONE_AT, {"path": path}))

    def in_state(self, *states: FileState) -> list[MediaFile]:
        """Return all files in these states (few: leased, committing, retry_wait, settling)."""
        with self._database.read() as connection:
            return [to_file(row) for row in connection.execute(_in_state(frozenset(states)))]

    def changed_since(self, event_id: int, limit: int = 1000, *, task_id: str | None = None) -> list[Event]:
        """Return events after this one, oldest first; with `task_id` only those of this task."""
        asked: dict[str, Any] = {"after": event_id, "limit": limit}
        newer = _NEWER
        if task_id is not None:
            newer, asked["task_id"] = _NEWER_OF_TASK, task_id
        with self._database.read() as connection:
            return [to_event(row) for row in connection.execute(newer, asked)]

    def events_kept(self) -> Span:
        """Return which events can be told."""
        with self._database.read() as connection:
            oldest, newest = connection.execute(_ENDS).one()
        return Span(1, 0) if newest is None else Span(oldest, newest)

    def trim_events(self, keep: int) -> int:
        """Delete all but the newest `keep` events; return how many went."""
        oldest_out = select(event.c.id).order_by(event.c.id.desc()).offset(keep).limit(1).scalar_subquery()

        def run(change: Change) -> int:
            return change.connection.execute(delete(event).where(event.c.id <= oldest_out)).rowcount

        return self._write(run)


@cache
def _in_state(states: frozenset[FileState]) -> Select[Any]:
    return select(file).where(one_of(file.c.state, states), shown(file.c.path)).order_by(file.c.id)
