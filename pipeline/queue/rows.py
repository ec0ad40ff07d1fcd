"""One constructor a record: how rows leave the queue, and how values go in.

Rows of many columns are taken apart in the order of the tables: asking a row for each column by its name takes three
times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.queue.records import Delivery, Event, Lease
from pipeline.tasks import Fingerprint, MediaFile, Problem, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Row


def to_task(row: Sequence[Any]) -> Task:
    """Return a row of the table `task` as a record."""
    task_id, dirname, state, source, options, priority, code, message, *times = row
    created_at, started_at, finished_at, updated_at = times
    return Task(
        id=task_id,
        dirname=dirname,
        state=state,
        source=source,
        options=_named(options),
        priority=priority,
        error=_problem(code, message),
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
        updated_at=updated_at,
    )


def to_file(row: Sequence[Any]) -> MediaFile:
    """Return a row of the table `file` as a record."""
    file_id, task_id, path, _, state, size, mtime_ns, options, text_key, priority, *more = row
    epoch, token, worker, attempts, crashes, duration, position, language, sha256, output_sha256, *last = more
    outputs, warnings, code, message, created_at, started_at, finished_at, updated_at = last
    return MediaFile(
        id=file_id,
        task_id=task_id,
        path=path,
        state=state,
        fingerprint=Fingerprint(size, mtime_ns),
        options=_named(options),
        text_key=text_key,
        priority=priority,
        epoch=epoch,
        token=token,
        worker=worker,
        attempts=attempts,
        crashes=crashes,
        duration=None if duration is None else float(duration),
        position=float(position),  # RETURNING gives 0 where the column holds 0.0
        language=language,
        sha256=sha256,
        output_sha256=output_sha256,
        outputs=tuple(outputs),
        warnings=tuple(warnings),
        error=_problem(code, message),
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
        updated_at=updated_at,
    )


def to_event(row: Sequence[Any]) -> Event:
    """Return a row of the table `event`, and its task's dirname, as a record."""
    event_id, at, task_id, file_id, kind, state, detail, dirname = row
    return Event(
        id=event_id,
        at=at,
        task_id=task_id,
        dirname=dirname,
        file_id=file_id,
        kind=kind.value,
        state=state,
        detail=detail,
    )


def to_delivery(row: Row[Any]) -> Delivery:
    """Return a row of the table `delivery` as a record."""
    return Delivery(
        id=row.id,
        task_id=row.task_id,
        url=row.url,
        origin=row.origin,
        message_id=row.message_id,
        body=row.body,
        attempts=row.attempts,
    )


def lease_of(file: MediaFile) -> Lease:
    """Return the last lease of this file."""
    return Lease(file.epoch, file.token, file.id)


def problem_columns(problem: Problem | None) -> dict[str, str | None]:
    """Return a problem, or its absence, as the columns that hold it."""
    if problem is None:
        return {"error_code": None, "error_message": None}
    message = problem.message.replace("\0", "\\0")  # a text of PostgreSQL's holds no NUL, FFmpeg's words may
    return {"error_code": problem.code, "error_message": message}


def fingerprint_columns(fingerprint: Fingerprint) -> dict[str, int]:
    """Return a fingerprint as the columns that hold it."""
    return {"size": fingerprint.size, "mtime_ns": fingerprint.mtime_ns}


def known_of(**columns: float | str | None) -> dict[str, float | str]:
    """Return those of the columns whose values are known, so that None leaves what was known before."""
    return {name: value for name, value in columns.items() if value is not None}


def _problem(code: str | None, message: str | None) -> Problem | None:
    return Problem(code=code, message=message or "") if code else None


def _named(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as `parse_named` made them: JSON knows lists only, options hold tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
