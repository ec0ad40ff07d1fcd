"""Every change of a state: an UPDATE that matches only rows allowed to change, and its events, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, func, select, update

from pipeline.errors import IllegalTransitionError, NotFoundError
from pipeline.queue.announcing import announce
from pipeline.queue.events import Events
from pipeline.queue.forms import changing_tasks, moving_files, parted
from pipeline.queue.matching import LEASED_BY, THESE_FILES, THESE_TASKS, THIS_TASK, chunks, guard, speaker
from pipeline.queue.records import EventKind, Lease, Outcome
from pipeline.queue.rows import problem_columns, to_file, to_task
from pipeline.queue.tables import attempt, checkpoint, file, one_of, stands, task
from pipeline.spool import is_spooled
from pipeline.tasks import ACTIVE, ENDED, WAITING, FileState, MediaFile, Problem, Task, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Values = Mapping[str, Any]  # of columns: plain ones, or SQL expressions

HELD = frozenset({FileState.LEASED, FileState.COMMITTING})  # a lease speaks for these
UNCHARGED: Values = {"attempts": file.c.attempts - 1}
_EVERY = frozenset(FileState)
_FORGETTING = frozenset({FileState.DONE, FileState.SKIPPED, FileState.SUPERSEDED})  # windows no longer needed
_NONE: Values = {}

_TASK = select(task).where(THIS_TASK)
_FILES = select(file).where(THESE_FILES)
_SHOW_MOMENT = update(task).where(THESE_TASKS)
_DROP_WINDOWS = delete(checkpoint).where(checkpoint.c.file_id.in_(bindparam("file_ids", expanding=True)))
_END_ATTEMPTS = update(attempt).where(
    attempt.c.file_id.in_(bindparam("file_ids", expanding=True)), attempt.c.outcome.is_(None)
)
_THIS_ACTIVE = (THIS_TASK, guard(task.c.state, ACTIVE))
_THESE_PENDING = (THESE_TASKS, guard(task.c.state, [TaskState.PENDING]))
_STARTED = func.coalesce(task.c.started_at, bindparam("now"))


class Change:
    """One moment in which files and tasks change: the connection of its transaction and the time it carries.

    Whoever makes one closes it at the end of the transaction.
    """

    def __init__(self, connection: Connection, now: float) -> None:
        self.connection = connection
        self.now = now
        self.changed_files: list[MediaFile] = []  # what to tell of once it is durable
        self.changed_tasks: list[Task] = []
        self._events = Events(now)
        self._showing: set[str] = set()  # tasks whose rows carry this moment
        self._behind: set[str] = set()  # those whose files changed, and that do not yet

    def close(self) -> None:
        """Append the events, and show the moment on the tasks whose files changed."""
        self._events.append(self.connection)
        self._show()

    # ---- files ----

    def by_lease(
        self,
        lease: Lease,
        to: FileState,
        *,
        among: frozenset[FileState] = HELD,
        outcome: Outcome | None = None,
        values: Values = _NONE,
    ) -> MediaFile:
        """Move the file this lease still speaks for; raises IllegalTransitionError when it does not any more."""
        moved = self.files(
            [LEASED_BY], to, among=among & HELD, outcome=outcome, values=values, given=speaker(lease)
        )
        return _the_one(moved, f"file {lease.file_id} (epoch {lease.epoch}, token {lease.token}) to {to}")

    def by_id(
        self,
        file_ids: Iterable[int],
        to: FileState,
        *,
        among: frozenset[FileState] = _EVERY,
        outcome: Outcome | None = None,
        values: Values = _NONE,
    ) -> list[MediaFile]:
        """Move those of the files that may move; raises IllegalTransitionError when none of some may."""
        moved: list[MediaFile] = []
        wanted = list(file_ids)
        for some in chunks(wanted):
            these = {"file_ids": some}
            moved += self.files([THESE_FILES], to, among=among, outcome=outcome, values=values, given=these)
        if wanted and not moved:
            raise IllegalTransitionError(f"files {wanted[:5]} to {to}")
        return moved

    def files(  # noqa: PLR0913 - what an UPDATE is made of
        self,
        where: Sequence[ColumnElement[bool]],
        to: FileState,
        *,
        among: frozenset[FileState] = _EVERY,
        outcome: Outcome | None = None,
        values: Values = _NONE,
        given: Values = _NONE,
    ) -> list[MediaFile]:
        """Move the files that match and may enter `to` from one of `among`; return them as they are now.

        `where` has to find them by an index; the states are only checked. `given` holds what conditions and
        expressions ask for by name.
        """
        plain, computed = parted(values)
        fresh = {"state": to, "updated_at": self.now, "finished_at": self.now if to in ENDED else None}
        form = moving_files(to, among, tuple(where), computed)
        rows = self.connection.execute(form, {**plain, **fresh, **given})
        moved = sorted(map(to_file, rows), key=lambda each: each.id)
        self.record(moved)
        self.changed_files += moved
        self._end_attempts(moved, outcome)
        if to in _FORGETTING:
            self.drop_windows([each.id for each in moved])
        return moved

    def get_files(self, file_ids: Sequence[int]) -> list[MediaFile]:
        """Return those of the files that are there."""
        found: list[MediaFile] = []
        for some in chunks(file_ids):
            found += map(to_file, self.connection.execute(_FILES, {"file_ids": some}))
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
        """Leave an event for each of these files, and show the change on their tasks; not of spooled ones."""
        told = [each for each in files if not is_spooled(each.path)]
        self._events.of_files(told, kind)
        self._behind |= {each.task_id for each in told} - self._showing

    def drop_windows(self, file_ids: Sequence[int]) -> None:
        """Forget the checkpointed windows of these files."""
        for some in chunks(file_ids):
            self.connection.execute(_DROP_WINDOWS, {"file_ids": some})

    def _end_attempts(self, files: Sequence[MediaFile], outcome: Outcome | None) -> None:
        if outcome is None:
            return
        for some in chunks([each.id for each in files]):
            ended = {"file_ids": some, "outcome": outcome, "ended_at": self.now}
            self.connection.execute(_END_ATTEMPTS, ended)

    # ---- tasks ----

    def get_task(self, task_id: str) -> Task:
        """Return the task; raises NotFoundError."""
        self._show()
        row = self.connection.execute(_TASK, {"task_id": task_id}).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no task {task_id}")
        return to_task(row)

    def tasks(
        self, where: Sequence[ColumnElement[bool]], values: Values, *, given: Values = _NONE
    ) -> list[Task]:
        """Change the tasks that match; return them as they are now, with an event each. `given` as in `files`."""
        plain, computed = parted(values)
        form = changing_tasks(tuple(where), computed)
        rows = self.connection.execute(form, {**plain, "updated_at": self.now, **given})
        changed = [to_task(row) for row in rows]
        self.record_tasks(changed)
        return changed

    def record_tasks(self, tasks: Sequence[Task]) -> None:
        """Leave an event for each of these tasks, which changed now; not of those for a spooled recording."""
        self.changed_tasks += tasks
        self._events.of_tasks(each for each in tasks if not is_spooled(each.dirname))
        changed = {each.id for each in tasks}
        self._showing |= changed
        self._behind -= changed

    def end_task(self, task_id: str, to: TaskState, error: Problem | None = None) -> list[Task]:
        """End the task unless it has ended already, and leave word to its callbacks."""
        end = {"state": to, "finished_at": self.now, **problem_columns(error)}
        ended = self.tasks(_THIS_ACTIVE, end, given={"task_id": task_id})
        announce(self, ended)
        return ended

    def start_tasks(self, task_ids: Iterable[str]) -> None:
        """Show pending tasks as running from their first lease on."""
        running = {"state": TaskState.RUNNING, "started_at": _STARTED}
        for some in chunks(sorted(set(task_ids))):
            self.tasks(_THESE_PENDING, running, given={"task_ids": some, "now": self.now})

    def reopen_task(self, task_id: str) -> Task | None:
        """Make an ended task active again; None when another task of its directory is active."""
        other = task.alias("other")
        rival = exists().where(
            other.c.dirname == task.c.dirname, one_of(other.c.state, ACTIVE), other.c.id != task.c.id
        )
        where = [task.c.id == task_id, ~guard(task.c.state, ACTIVE), ~rival]
        fresh = {"state": TaskState.PENDING, "finished_at": None, **problem_columns(None)}
        return next(iter(self.tasks(where, fresh)), None)

    def _show(self) -> None:
        for some in chunks(sorted(self._behind)):
            self.connection.execute(_SHOW_MOMENT, {"task_ids": some, "updated_at": self.now})
        self._showing |= self._behind
        self._behind = set()


def _the_one(moved: Sequence[MediaFile], what: str) -> MediaFile:
    if not moved:
        raise IllegalTransitionError(what)
    (only,) = moved
    return only
