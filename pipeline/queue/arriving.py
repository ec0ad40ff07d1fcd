"""What ingest asks of the queue: tasks opened, files added, settled, skipped, superseded."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from pipeline.errors import ConflictError
from pipeline.options import text_key
from pipeline.queue.matching import below, chunks, guard
from pipeline.queue.records import Outcome
from pipeline.queue.rows import fingerprint_columns, problem_columns, to_file, to_task
from pipeline.queue.sqlite import insert_or_ignore
from pipeline.queue.statements import Statements
from pipeline.queue.tables import file, one_of, standing, task
from pipeline.tasks import (
    ACTIVE,
    ENDED,
    WAITING,
    FileState,
    Fingerprint,
    MediaFile,
    Problem,
    Source,
    Task,
    TaskState,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.queue.changes import Change
    from pipeline.queue.records import NewFile


class Arriving(Statements):
    """The part of TaskStore that ingest uses."""

    def open_task(
        self,
        dirname: bytes,
        source: Source,
        options: Mapping[str, Any],
        *,
        priority: int = 0,
        callback_url: str | None = None,
    ) -> tuple[Task, bool]:
        """Return the active task of `dirname` and whether this call made it."""

        def run(change: Change) -> tuple[Task, bool]:
            made = change.connection.execute(
                insert_or_ignore(task).returning(*task.c),
                {
                    "id": secrets.token_hex(16),
                    "dirname": dirname,
                    "state": TaskState.PENDING,
                    "source": source,
                    "options": dict(options),
                    "priority": priority,
                    "callback_url": callback_url,
                    "created_at": change.now,
                    "updated_at": change.now,
                },
            ).one_or_none()
            if made is None:
                return _active_task(change, dirname), False
            change.record_tasks([to_task(made)])
            return to_task(made), True

        return self._write(run)

    def add_files(self, task_id: str, files: Sequence[NewFile]) -> list[MediaFile]:
        """Add files, each unless a row of the same path, fingerprint and text_key stands; return those added.

        A waiting row of the same path with another fingerprint or text_key is superseded by the new one. A task
        that ended meanwhile is active again; raises NotFoundError, or ConflictError when it was cancelled or its
        directory has another active task by now.
        """

        def run(change: Change) -> list[MediaFile]:
            _ensure_active(change, task_id)
            added: list[MediaFile] = []
            for some in chunks(files):
                added += _insert(change, task_id, some)
            change.record(added)
            _supersede_waiting(change, added)
            return added

        return self._write(run)

    def take_along(self, task_id: str, directory: bytes) -> int:
        """Move the waiting files below `directory` from other active tasks to this one; return how many."""

        def run(change: Change) -> int:
            active = select(task.c.id).where(one_of(task.c.state, ACTIVE))
            statement = (
                update(file)
                .where(below(directory), guard(file.c.state, WAITING))
                .where(file.c.task_id != task_id, file.c.task_id.in_(active))
                .values(task_id=task_id, updated_at=change.now)
                .returning(*file.c)
            )
            moved = [to_file(row) for row in change.connection.execute(statement)]
            change.record(moved)
            return len(moved)

        return self._write(run)

    def still_settling(self, file_id: int, fingerprint: Fingerprint) -> None:
        """Note how far a growing file has come (a queued or retry_wait one goes back to settling).

        It is superseded when it became what another row stands for: a recording put back as it was.
        """

        def run(change: Change) -> None:
            found = change.get_files([file_id])
            if not found or found[0].state is not FileState.SETTLING:
                found = change.by_id([file_id], FileState.SETTLING, among=WAITING)
            _grow(change, found[0], fingerprint)

        self._write(run)

    def settle(self, files: Sequence[tuple[int, Fingerprint]]) -> list[MediaFile]:
        """Mark settling files ready: settling → queued, with their final fingerprint; return them.

        Superseded as in `still_settling`; one that is not settling any more is left alone.
        """

        def run(change: Change) -> list[MediaFile]:
            final = dict(files)
            for each in change.get_files(list(final)):
                if each.state is FileState.SETTLING:
                    _grow(change, each, final[each.id])
            settled: list[MediaFile] = []
            for some in chunks(list(final)):
                settled += change.files([file.c.id.in_(some)], FileState.QUEUED, among=_SETTLING)
            return settled

        return self._write(run)

    def skip(
        self,
        file_id: int,
        problem: Problem | None,
        *,
        outputs: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Mark a waiting file skipped: already done (no problem, its outputs), or gone."""
        values = {"outputs": outputs, "warnings": warnings, **problem_columns(problem)}
        self._write(lambda change: change.by_id([file_id], FileState.SKIPPED, among=WAITING, values=values))

    def refuse(self, file_id: int, problem: Problem) -> None:
        """Mark a waiting file failed before any stage saw it (bad_options, outside_workdir)."""
        columns = problem_columns(problem)
        self._write(lambda change: change.by_id([file_id], FileState.FAILED, among=WAITING, values=columns))

    def supersede(self, file_ids: Iterable[int]) -> None:
        """Mark rows superseded (force; a source that changed after it ended)."""
        self._write(lambda change: change.by_id(file_ids, FileState.SUPERSEDED, outcome=Outcome.CANCELLED))


_SETTLING = frozenset({FileState.SETTLING})


def _active_task(change: Change, dirname: bytes) -> Task:
    where = (task.c.dirname == dirname, one_of(task.c.state, ACTIVE))
    return to_task(change.connection.execute(select(task).where(*where)).one())


def _ensure_active(change: Change, task_id: str) -> None:
    """Make a task active again that ended between its opening and its files; not one that was cancelled."""
    found = change.get_task(task_id)
    if found.state in ACTIVE:
        return
    if found.state is TaskState.CANCELLED or change.reopen_task(task_id) is None:
        raise ConflictError(f"task {task_id} has ended")


def _insert(change: Change, task_id: str, files: Sequence[NewFile]) -> list[MediaFile]:
    rows = [_row(each, task_id, change.now) for each in files]
    if not rows:
        return []
    inserted = change.connection.execute(insert_or_ignore(file).returning(*file.c), rows)
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
        where = [file.c.path.in_(some), standing, file.c.id < added[0].id]
        change.files(where, FileState.SUPERSEDED, among=WAITING)


def _grow(change: Change, each: MediaFile, fingerprint: Fingerprint) -> None:
    if each.fingerprint != fingerprint:
        change.rewrite([each.id], fingerprint_columns(fingerprint))
