"""What ingest, recovery and live listeners read from the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, func, select

from pipeline.queue.matching import BELOW, below, chunks, edges, guard, shown, within
from pipeline.queue.records import Event, Span
from pipeline.queue.rows import to_event, to_file, to_task
from pipeline.queue.statements import Statements
from pipeline.queue.tables import done, event, file, one_of, standing, task
from pipeline.tasks import ACTIVE, OPEN, WAITING, FileState, MediaFile, Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.queue.changes import Change

_ACTIVE = select(task).where(one_of(task.c.state, ACTIVE), shown(task.c.dirname))
_BELOW = select(file).where(BELOW)
_LOOSE = select(file).where(within(b"."))


class Reading(Statements):
    """The part of TaskStore that changes nothing but the length of the event list."""

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
