"""What is asked of whole tasks: change, end, cancel, retry, forget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, update

from pipeline.errors import ConflictError
from pipeline.queue.announcing import add_callback
from pipeline.queue.changes import HELD, Change, Values
from pipeline.queue.matching import at_or_below, chunks, guard, within
from pipeline.queue.opening import lay_over
from pipeline.queue.records import Outcome
from pipeline.queue.rows import problem_columns, to_file
from pipeline.queue.statements import Statements
from pipeline.queue.tables import event, file, one_of, standing, task
from pipeline.tasks import (
    ACTIVE,
    ENDED,
    FAILURES,
    OPEN,
    FileState,
    MediaFile,
    Task,
    TaskState,
    display,
    ended_task_state,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_AFRESH: Values = {"attempts": 0, "crashes": 0, **problem_columns(None)}
_RETRIED = FAILURES | {FileState.CANCELLED}
_LEASED = frozenset({FileState.LEASED})


class Requests(Statements):
    """The part of TaskStore that deals with whole tasks."""

    def change_task(
        self,
        task_id: str,
        *,
        options: Mapping[str, Any] | None = None,
        priority: int | None = None,
        callback_url: str | None = None,
    ) -> Task:
        """Lay options and priority over an active task and its waiting files (settling, queued, retry_wait).

        A callback joins those that it has. A file whose new options ask for a text that another row stands for is
        superseded.
        Raises NotFoundError; ConflictError when the task has ended.
        """

        def run(change: Change) -> Task:
            before = change.get_task(task_id)
            values = {
                "options": {**before.options, **(options or {})},
                "priority": before.priority if priority is None else priority,
            }
            changed = change.tasks([task.c.id == task_id, guard(task.c.state, ACTIVE)], values)
            if not changed:
                raise ConflictError(f"task {task_id} has ended")
            add_callback(change, task_id, callback_url)
            lay_over(change, task_id, options or {}, priority)
            return changed[0]

        return self._write(run)

    def call_back(self, task_id: str, url: str | None) -> None:
        """Tell this address too when the task ends; nobody when it has ended."""

        def run(change: Change) -> None:
            if change.get_task(task_id).state in ACTIVE:
                add_callback(change, task_id, url)

        if url is not None:
            self._write(run)

    def end_task(self, task_id: str) -> Task:
        """End an active task whose files have all ended; its state derives from them. No-op while files are open.

        Where all its files went along with other requests, these are the files of its directory.
        """

        def run(change: Change) -> Task:
            own = _counts(change, file.c.task_id == task_id)
            counts = own or _counts(change, within(change.get_task(task_id).dirname))
            if not OPEN & counts.keys():
                change.end_task(task_id, ended_task_state(counts))
            return change.get_task(task_id)

        return self._write(run)

    def cancel(self, task_id: str) -> tuple[Task, list[MediaFile]]:
        """Cancel an active task: open files that are not committing → cancelled; return those that were leased.

        They come as they are now, epoch and token those of the lease to call off.
        Raises NotFoundError, ConflictError when the task has ended.
        """

        def run(change: Change) -> tuple[Task, list[MediaFile]]:
            change.get_task(task_id)
            mine = [file.c.task_id == task_id]
            to, outcome = FileState.CANCELLED, Outcome.CANCELLED
            leased = change.files(mine, to, among=_LEASED, outcome=outcome)
            change.files(mine, to, among=frozenset(FileState) - HELD)
            # after its files, as callbacks tell how they are
            ended = change.end_task(task_id, TaskState.CANCELLED)
            if not ended:
                raise ConflictError(f"task {task_id} has ended")
            return ended[0], leased

        return self._write(run)

    def retry(self, task_id: str) -> tuple[Task, int]:
        """Failed, quarantined and cancelled files → queued with attempts and crashes 0; the task is active again.

        Not those that failed before any stage had them (a bad whisper.toml, a link that leaves the workdir): ingest
        takes them in when that is mended. A task with no such file stays as it is. Returns the task and how many files
        are tried again.
        Raises NotFoundError; ConflictError when another task of that directory is active.
        """

        def run(change: Change) -> tuple[Task, int]:
            found = change.get_task(task_id)
            had = or_(file.c.token > 0, ~guard(file.c.state, FAILURES))
            mine = [file.c.task_id == task_id, had]
            again = change.files(mine, FileState.QUEUED, among=_RETRIED, values=_AFRESH)
            if again and found.state not in ACTIVE and change.reopen_task(task_id) is None:
                raise ConflictError(f"another task of the directory of {task_id} is active")
            return change.get_task(task_id), len(again)

        return self._write(run)

    def requeue(self, file_ids: Iterable[int]) -> None:
        """Do ended files again: → queued, attempts and crashes 0 (healed: readable again, whisper.toml mended).

        Their task is active again; where another task of its directory is active, they join that one.
        """

        def run(change: Change) -> None:
            again = change.by_id(file_ids, FileState.QUEUED, among=ENDED, values=_AFRESH)
            for task_id in {each.task_id for each in again}:
                _reopen_or_join(change, task_id, [each.id for each in again if each.task_id == task_id])

        self._write(run)

    def forget(self, path: bytes) -> list[MediaFile]:
        """Delete the rows, checkpoints and events of a file or of everything below a directory; return what was there.

        Tasks of that path that are left without files go too.
        Raises ConflictError while a stage holds one of the files: cancel first.
        """

        def run(change: Change) -> list[MediaFile]:
            there = at_or_below(file.c.path, path)
            if change.connection.scalar(select(exists().where(there, one_of(file.c.state, HELD)))):
                raise ConflictError(f"{display(path)} is being transcribed; cancel it first")
            rows = change.connection.execute(delete(file).where(there).returning(*file.c))
            forgotten = [to_file(row) for row in rows]
            for some in chunks([each.id for each in forgotten]):
                change.connection.execute(delete(event).where(event.c.file_id.in_(some)))
            empty = ~exists().where(file.c.task_id == task.c.id)
            change.connection.execute(delete(task).where(at_or_below(task.c.dirname, path), empty))
            return forgotten

        return self._write(run)


def _counts(change: Change, where: ColumnElement[bool]) -> Mapping[FileState, int]:
    number = func.count().label("number")
    by_state = select(file.c.state, number).where(where, standing).group_by(file.c.state)
    return {row.state: row.number for row in change.connection.execute(by_state)}


def _reopen_or_join(change: Change, task_id: str, file_ids: list[int]) -> None:
    found = change.get_task(task_id)
    if found.state in ACTIVE or change.reopen_task(task_id):
        return
    where = (task.c.dirname == found.dirname, one_of(task.c.state, ACTIVE))
    active = select(task.c.id).where(*where).scalar_subquery()
    for some in chunks(file_ids):
        change.connection.execute(update(file).where(file.c.id.in_(some)).values(task_id=active))
