"""Every change of a state: an UPDATE that matches only rows allowed to change, and its events, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from pipeline.errors import IllegalTransitionError, NotFoundError
from pipeline.queue.announcing import announce
from pipeline.queue.matching import chunks, guard, leased_by
from pipeline.queue.records import EventKind, Lease, Outcome
from pipeline.queue.rows import problem_columns, to_file, to_task
from pipeline.queue.tables import attempt, checkpoint, event, file, one_of, stands, task
from pipeline.spool import is_spooled
from pipeline.tasks import (
    ACTIVE,
    ENDED,
    WAITING,
    FileState,
    MediaFile,
    Problem,
    Task,
    TaskState,
    display,
    predecessors,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.sql.dml import ReturningUpdate

Values = Mapping[str, Any]  # of columns: plain ones, or SQL expressions

HELD = frozenset({FileState.LEASED, FileState.COMMITTING})  # a lease speaks for these
_EVERY = frozenset(FileState)
_AS_IT_IS: Values = {}

# Statements that run often are made once: making one takes longer than running it.
_TASK = select(task).where(task.c.id == bindparam("task_id"))
_ADD_EVENTS = insert(event)
_TOUCH_TASKS = update(task).where(task.c.id.in_(bindparam("ids", expanding=True)))
_CHANGE_TASKS = update(task).returning(*task.c)
_START_TASKS = _CHANGE_TASKS.where(
    task.c.id.in_(bindparam("ids", expanding=True)), guard(task.c.state, [TaskState.PENDING])
).values(started_at=func.coalesce(task.c.started_at, bindparam("now")))


@cache
def files_in(states: frozenset[FileState]) -> ReturningUpdate[Any]:
    """Return the UPDATE of files in these states, found by what is added to it."""
    return update(file).where(guard(file.c.state, states)).returning(*file.c)


_FORGETTING = frozenset({FileState.DONE, FileState.SKIPPED, FileState.SUPERSEDED})  # windows no longer needed


class Change:
    """One moment in which files and tasks change: the connection of its transaction and the time it carries."""

    def __init__(self, connection: Connection, now: float) -> None:
        self.connection = connection
        self.now = now
        self.changed_files: list[MediaFile] = []  # what to tell of once it is durable
        self.changed_tasks: list[Task] = []

    # ---- files ----

    def by_lease(
        self,
        lease: Lease,
        to: FileState,
        *,
        among: frozenset[FileState] = HELD,
        outcome: Outcome | None = None,
        values: Values = _AS_IT_IS,
    ) -> MediaFile:
        """Move the file this lease still speaks for; raises IllegalTransitionError when it does not any more."""
        moved = self.files([leased_by(lease)], to, among=among & HELD, outcome=outcome, values=values)
        return _the_one(moved, f"file {lease.file_id} (epoch {lease.epoch}, token {lease.token}) to {to}")

    def by_id(
        self,
        file_ids: Iterable[int],
        to: FileState,
        *,
        among: frozenset[FileState] = _EVERY,
        outcome: Outcome | None = None,
        values: Values = _AS_IT_IS,
    ) -> list[MediaFile]:
        """Move those of the files that may move; raises IllegalTransitionError when none of some may."""
        moved: list[MediaFile] = []
        wanted = list(file_ids)
        for some in chunks(wanted):
            moved += self.files([file.c.id.in_(some)], to, among=among, outcome=outcome, values=values)
        if wanted and not moved:
            raise IllegalTransitionError(f"files {wanted[:5]} to {to}")
        return moved

    def files(
        self,
        where: Sequence[ColumnElement[bool]],
        to: FileState,
        *,
        among: frozenset[FileState] = _EVERY,
        outcome: Outcome | None = None,
        values: Values = _AS_IT_IS,
    ) -> list[MediaFile]:
        """Move the files that match and may enter `to` from one of `among`; return them as they are now.

        `where` has to find them by an index; the states are only checked.
        """
        allowed = predecessors(to) & among
        finished = self.now if to in ENDED else None
        fresh = {**values, "state": to, "updated_at": self.now, "finished_at": finished}
        rows = self.update(files_in(allowed).where(*where), fresh)
        moved = sorted(map(to_file, rows), key=lambda each: each.id)
        self.record(moved)
        self.changed_files += moved
        self._end_attempts(moved, outcome)
        if to in _FORGETTING:
            self.drop_windows([each.id for each in moved])
        return moved

    def update(self, statement: ReturningUpdate[Any], values: Values) -> CursorResult[Any]:
        """Run an UPDATE. Plain values go as its parameters, which costs less than building them into it."""
        computed = {name: value for name, value in values.items() if isinstance(value, ColumnElement)}
        plain = {name: value for name, value in values.items() if name not in computed}
        return self.connection.execute(statement.values(computed) if computed else statement, plain)

    def get_files(self, file_ids: Sequence[int]) -> list[MediaFile]:
        """Return those of the files that are there."""
        found: list[MediaFile] = []
        for some in chunks(file_ids):
            found += map(to_file, self.connection.execute(select(file).where(file.c.id.in_(some))))
        return found

    def rewrite(self, file_ids: Sequence[int], values: Values) -> None:
        """Change what tells waiting files from others (size, mtime_ns, text_key) and what goes with it.

        Those that became what another row stands for are superseded.
        """
        other = file.alias("other")
        same = [other.c[name] == values.get(name, file.c[name]) for name in ("size", "mtime_ns", "text_key")]
        twin = exists().where(other.c.path == file.c.path, other.c.id != file.c.id, stands(other), *same)
        for some in chunks(file_ids):
            mine = [file.c.id.in_(some)]
            self.files([*mine, twin], FileState.SUPERSEDED, among=WAITING)
            fresh = {**values, "updated_at": self.now}
            self.connection.execute(update(file).where(*mine, guard(file.c.state, WAITING)).values(fresh))

    def record(self, files: Sequence[MediaFile], kind: EventKind = EventKind.FILE) -> None:
        """Append an event for each of these files, and show the change on their tasks; not of spooled ones."""
        told = [each for each in files if not is_spooled(each.path)]
        if not told:
            return
        self.connection.execute(_ADD_EVENTS, [self._file_event(each, kind) for each in told])
        for some in chunks(sorted({each.task_id for each in told})):
            self.connection.execute(_TOUCH_TASKS, {"ids": some, "updated_at": self.now})

    def drop_windows(self, file_ids: Sequence[int]) -> None:
        """Forget the checkpointed windows of these files."""
        for some in chunks(file_ids):
            self.connection.execute(delete(checkpoint).where(checkpoint.c.file_id.in_(some)))

    def _file_event(self, each: MediaFile, kind: EventKind) -> dict[str, Any]:
        detail: dict[str, Any] = {"path": display(each.path)}
        if kind is EventKind.PROGRESS:
            detail |= {"position": each.position, "duration": each.duration}
        if each.error:
            detail["code"] = each.error.code
        return self._event(each.task_id, each.id, kind, each.state, detail)

    def _event(
        self, task_id: str, file_id: int | None, kind: EventKind, state: str, detail: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "at": self.now,
            "task_id": task_id,
            "file_id": file_id,
            "kind": kind,
            "state": state,
            "detail": detail,
        }

    def _end_attempts(self, files: Sequence[MediaFile], outcome: Outcome | None) -> None:
        if outcome is None:
            return
        for some in chunks([each.id for each in files]):
            self.connection.execute(
                update(attempt)
                .where(attempt.c.file_id.in_(some), attempt.c.outcome.is_(None))
                .values(outcome=outcome, ended_at=self.now)
            )

    # ---- tasks ----

    def get_task(self, task_id: str) -> Task:
        """Return the task; raises NotFoundError."""
        row = self.connection.execute(_TASK, {"task_id": task_id}).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no task {task_id}")
        return to_task(row)

    def tasks(self, where: Sequence[ColumnElement[bool]], values: Values) -> list[Task]:
        """Change the tasks that match; return them as they are now, with an event each."""
        return self._update_tasks(_CHANGE_TASKS.where(*where), values)

    def _update_tasks(self, statement: ReturningUpdate[Any], values: Values) -> list[Task]:
        rows = self.update(statement, {**values, "updated_at": self.now})
        changed = [to_task(row) for row in rows]
        self.record_tasks(changed)
        return changed

    def record_tasks(self, tasks: Sequence[Task]) -> None:
        """Append an event for each of these tasks; not of those for a spooled recording."""
        self.changed_tasks += tasks
        events = [
            self._event(each.id, None, EventKind.TASK, each.state, _code(each.error))
            for each in tasks
            if not is_spooled(each.dirname)
        ]
        if events:
            self.connection.execute(_ADD_EVENTS, events)

    def end_task(self, task_id: str, to: TaskState, error: Problem | None = None) -> list[Task]:
        """End the task unless it has ended already, and leave word to its callbacks."""
        where = [task.c.id == task_id, guard(task.c.state, ACTIVE)]
        ended = self.tasks(where, {"state": to, "finished_at": self.now, **problem_columns(error)})
        announce(self, ended)
        return ended

    def start_tasks(self, task_ids: Iterable[str]) -> None:
        """Show tasks as running from their first lease on."""
        for some in chunks(sorted(set(task_ids))):
            self._update_tasks(_START_TASKS, {"ids": some, "now": self.now, "state": TaskState.RUNNING})

    def reopen_task(self, task_id: str) -> Task | None:
        """Make an ended task active again; None when another task of its directory is active."""
        other = task.alias("other")
        rival = exists().where(
            other.c.dirname == task.c.dirname, one_of(other.c.state, ACTIVE), other.c.id != task.c.id
        )
        where = [task.c.id == task_id, ~guard(task.c.state, ACTIVE), ~rival]
        fresh = {"state": TaskState.PENDING, "finished_at": None, **problem_columns(None)}
        return next(iter(self.tasks(where, fresh)), None)


def _the_one(moved: Sequence[MediaFile], what: str) -> MediaFile:
    if not moved:
        raise IllegalTransitionError(what)
    (only,) = moved
    return only


def _code(problem: Problem | None) -> dict[str, Any]:
    return {"code": problem.code} if problem else {}
