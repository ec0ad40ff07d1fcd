"""How work enters the queue: a task and its files in one transaction, so that nobody sees one without the other."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update

from pipeline.errors import ConflictError
from pipeline.options import NAMES, text_key
from pipeline.queue.announcing import add_callback
from pipeline.queue.inserts import insert_or_ignore
from pipeline.queue.matching import THESE_FILES, below, chunks, guard
from pipeline.queue.records import Outcome
from pipeline.queue.rows import fingerprint_columns, problem_columns, to_file, to_task
from pipeline.queue.statements import Statements
from pipeline.queue.tables import file, one_of, standing, task
from pipeline.tasks import ACTIVE, ENDED, WAITING, FileState, MediaFile, Problem, Source, Task, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.queue.changes import Change
    from pipeline.queue.records import NewFile

_OLDER = (
    file.c.path.in_(bindparam("paths", expanding=True)),
    standing,
    file.c.id < bindparam("first_new"),
)


class Opening(Statements):
    """The part of TaskStore through which tasks and files come in."""

    def open_task(  # noqa: PLR0913 - all that a task begins with
        self,
        dirname: bytes,
        source: Source,
        options: Mapping[str, Any],
        *,
        priority: int = 0,
        callback_url: str | None = None,
        files: Sequence[NewFile] = (),
        instead_of: Iterable[int] = (),
        along: bool = False,
        error: Problem | None = None,
    ) -> tuple[Task, bool]:
        """Return the active task of `dirname`, with these files added, and whether this call made it.

        `instead_of` are rows that the files take the place of: superseded. `along` moves the waiting files below
        `dirname` from other active tasks here, and lays options and priority over them. A new task with an `error`
        has failed already.
        """
        row = _task_row(dirname, source, options, priority)

        def run(change: Change) -> tuple[Task, bool]:
            opened, is_new = _open(change, row)
            add_callback(change, opened.id, callback_url or (self._callback_url if is_new else None))
            if along:
                _take_along(change, opened.id, dirname)
                lay_over(change, opened.id, options, priority or None)
            _add(change, opened.id, files, instead_of)
            if is_new and error:
                (opened,) = change.end_task(opened.id, TaskState.FAILED, error)
            return opened if is_new else change.get_task(opened.id), is_new

        return self._write(run)

    def add_files(
        self, task_id: str, files: Sequence[NewFile], *, instead_of: Iterable[int] = ()
    ) -> list[MediaFile]:
        """Add files, each unless a row of the same path, fingerprint and text_key stands; return those added.

        A waiting row of the same path with another fingerprint or text_key is superseded by the new one, as are the
        rows `instead_of`. A task that ended meanwhile is active again; raises NotFoundError, or ConflictError when it
        was cancelled or its directory has another active task by now.
        """

        def run(change: Change) -> list[MediaFile]:
            _ensure_active(change, task_id)
            return _add(change, task_id, files, instead_of)

        return self._write(run)


def lay_over(change: Change, task_id: str, options: Mapping[str, Any], priority: int | None) -> None:
    """Lay what concerns a single file (not `include` and the like) over the waiting files of a task."""
    mine = (file.c.task_id == task_id, one_of(file.c.state, WAITING))
    if priority is not None:
        change.connection.execute(update(file).where(*mine).values(priority=priority))
    named = {name: value for name, value in options.items() if name in NAMES}
    if not named:
        return
    alike: dict[str, list[MediaFile]] = {}
    for each in map(to_file, change.connection.execute(select(file).where(*mine))):
        alike.setdefault(repr(sorted(each.options.items())), []).append(each)
    for files in alike.values():
        merged = {**files[0].options, **named}
        change.rewrite([each.id for each in files], {"options": merged, "text_key": text_key(merged)})


def _task_row(dirname: bytes, source: Source, options: Mapping[str, Any], priority: int) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(16),
        "dirname": dirname,
        "state": TaskState.PENDING,
        "source": source,
        "options": dict(options),
        "priority": priority,
    }


def _open(change: Change, row: Mapping[str, Any]) -> tuple[Task, bool]:
    fresh = {**row, "created_at": change.now, "updated_at": change.now}
    made = change.connection.execute(insert_or_ignore(change.connection, task), fresh).one_or_none()
    if made is None:
        where = (task.c.dirname == row["dirname"], one_of(task.c.state, ACTIVE))
        return to_task(change.connection.execute(select(task).where(*where)).one()), False
    change.record_tasks([to_task(made)])
    return to_task(made), True


def _take_along(change: Change, task_id: str, directory: bytes) -> None:
    active = select(task.c.id).where(one_of(task.c.state, ACTIVE))
    statement = (
        update(file)
        .where(below(directory), guard(file.c.state, WAITING))
        .where(file.c.task_id != task_id, file.c.task_id.in_(active))
        .values(task_id=task_id, updated_at=change.now)
        .returning(*file.c)
    )
    change.record([to_file(row) for row in change.connection.execute(statement)])


def _ensure_active(change: Change, task_id: str) -> None:
    """Make a task active again that ended meanwhile; not one that was cancelled."""
    found = change.get_task(task_id)
    if found.state in ACTIVE:
        return
    if found.state is TaskState.CANCELLED or change.reopen_task(task_id) is None:
        raise ConflictError(f"task {task_id} has ended")


def _add(
    change: Change, task_id: str, files: Sequence[NewFile], instead_of: Iterable[int]
) -> list[MediaFile]:
    for some in chunks(list(instead_of)):
        change.files([THESE_FILES], FileState.SUPERSEDED, outcome=Outcome.CANCELLED, given={"file_ids": some})
    added: list[MediaFile] = []
    for some_new in chunks(files):
        added += _insert(change, task_id, some_new)
    change.record(added)
    change.changed_files += added
    _supersede_waiting(change, added)
    return added


def _insert(change: Change, task_id: str, files: Sequence[NewFile]) -> list[MediaFile]:
    rows = [_row(each, task_id, change.now) for each in files]
    if not rows:
        return []
    inserted = change.connection.execute(insert_or_ignore(change.connection, file), rows)
    return sorted(map(to_file, inserted), key=lambda each: each.id)


def _row(new: NewFile, task_id: str, now: float) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "path": new.path,
        "directory": new.path.rpartition(b"/")[0] or b".",
        "state": new.state,
        **fingerprint_columns(new.fingerprint),
        "options": dict(new.options),
        "text_key": text_key(new.options),
        "priority": new.priority,
        "duration": new.duration,
        "language": new.language,
        "sha256": new.sha256,
        "outputs": new.outputs,
        "warnings": new.warnings,
        **problem_columns(new.error),
        "created_at": now,
        "finished_at": now if new.state in ENDED else None,
        "updated_at": now,
    }


def _supersede_waiting(change: Change, added: Sequence[MediaFile]) -> None:
    """Supersede the waiting rows that these new ones stand for; ids grow, so older rows have smaller ones."""
    if not added:
        return
    for some in chunks([each.path for each in added]):
        older = {"paths": some, "first_new": added[0].id}
        change.files(_OLDER, FileState.SUPERSEDED, among=WAITING, given=older)
