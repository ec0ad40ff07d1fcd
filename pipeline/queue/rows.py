"""One constructor a record: how rows leave the queue, and how values go in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.queue.records import Delivery, Event, Lease
from pipeline.tasks import Fingerprint, MediaFile, Problem, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Row


def to_task(row: Row[Any]) -> Task:
    """Return a row of the table `task` as a record."""
    return Task(
        id=row.id,
        dirname=row.dirname,
        state=row.state,
        source=row.source,
        options=_named(row.options),
        priority=row.priority,
        error=_problem(row),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        updated_at=row.updated_at,
    )


def to_file(row: Row[Any]) -> MediaFile:
    """Return a row of the table `file` as a record."""
    return MediaFile(
        id=row.id,
        task_id=row.task_id,
        path=row.path,
        state=row.state,
        fingerprint=Fingerprint(row.size, row.mtime_ns),
        options=_named(row.options),
        text_key=row.text_key,
        priority=row.priority,
        epoch=row.epoch,
        token=row.token,
        worker=row.worker,
        attempts=row.attempts,
        crashes=row.crashes,
        duration=None if row.duration is None else float(row.duration),
        position=float(row.position),  # RETURNING gives 0 where the column holds 0.0
        language=row.language,
        sha256=row.sha256,
        output_sha256=row.output_sha256,
        outputs=tuple(row.outputs),
        warnings=tuple(row.warnings),
        error=_problem(row),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        updated_at=row.updated_at,
    )


def to_event(row: Row[Any]) -> Event:
    """Return a row of the table `event` as a record."""
    return Event(
        id=row.id,
        at=row.at,
        task_id=row.task_id,
        dirname=row.dirname,
        file_id=row.file_id,
        kind=row.kind.value,
        state=row.state,
        detail=row.detail,
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


def _problem(row: Row[Any]) -> Problem | None:
    return Problem(code=row.error_code, message=row.error_message or "") if row.error_code else None


def _named(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as `parse_named` made them: JSON knows lists only, options hold tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
