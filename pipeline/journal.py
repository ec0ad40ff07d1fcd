"""What becomes of tasks and files, as lines of the log: each change once it is durable, their ids as fields.

What comes by the hundred thousand when an archive is dropped is for `debug`; what goes at the pace of the work, and
every failure, is for everybody.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pipeline.logs import ids
from pipeline.tasks import FileState, TaskState, display

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.tasks import MediaFile, Task

logger = logging.getLogger(__name__)

_FILES: Mapping[FileState, tuple[int, str]] = {
    FileState.SETTLING: (logging.DEBUG, "is still being written"),
    FileState.QUEUED: (logging.DEBUG, "is queued"),
    FileState.LEASED: (logging.INFO, "is begun"),
    FileState.COMMITTING: (logging.DEBUG, "is transcribed; its outputs are put in place"),
    FileState.RETRY_WAIT: (logging.WARNING, "is tried again later"),
    FileState.DONE: (logging.INFO, "is done"),
    FileState.FAILED: (logging.ERROR, "failed"),
    FileState.QUARANTINED: (logging.ERROR, "is quarantined"),
    FileState.SKIPPED: (logging.DEBUG, "is skipped"),
    FileState.SUPERSEDED: (logging.DEBUG, "is superseded"),
    FileState.CANCELLED: (logging.INFO, "is cancelled"),
}
_TASKS: Mapping[TaskState, tuple[int, str]] = {
    TaskState.PENDING: (logging.DEBUG, "waits"),
    TaskState.RUNNING: (logging.DEBUG, "is running"),
    TaskState.COMPLETED: (logging.INFO, "is completed"),
    TaskState.PARTIAL: (logging.WARNING, "has ended; some of its files failed"),
    TaskState.FAILED: (logging.WARNING, "has failed"),
    TaskState.CANCELLED: (logging.INFO, "is cancelled"),
}


def tell(tasks: Sequence[Task], files: Sequence[MediaFile]) -> None:
    """Write a line for each change."""
    for task in tasks:
        _tell_task(task)
    for file in files:
        _tell_file(file)


def _tell_task(task: Task) -> None:
    level, words = _TASKS[task.state]
    fields: dict[str, Any] = {"task_id": task.id, "path": display(task.dirname), "state": str(task.state)}
    if task.state is TaskState.PENDING and task.created_at == task.updated_at:
        level, words = logging.INFO, "is accepted"
        fields["source"] = str(task.source)
    _say(level, f"task {words}", task, fields)


def _tell_file(file: MediaFile) -> None:
    level, words = _FILES[file.state]
    fields: dict[str, Any] = {**ids(file), "path": display(file.path), "state": str(file.state)}
    if file.attempts:
        fields["attempt"] = file.attempts
    if file.state is FileState.QUEUED and file.error:  # a child died on it, or its wait is over
        level = logging.INFO
    _say(level, words, file, fields)


def _say(level: int, words: str, of: Task | MediaFile, fields: dict[str, Any]) -> None:
    if of.error:
        logger.log(
            level,
            "%s: %s: %s",
            fields["path"],
            words,
            of.error.message,
            extra=fields | {"code": of.error.code},
        )
    else:
        logger.log(level, "%s: %s", fields["path"], words, extra=fields)
