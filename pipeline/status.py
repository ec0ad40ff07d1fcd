"""The monitoring answer: how far a task and its files are. Pure; `now` is seconds since the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pipeline.formats import rfc3339
from pipeline.tasks import ACTIVE, ENDED, OPEN, FileState, MediaFile, Problem, Task, display

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SOME = 0.001  # seconds of audio: less is no pace
_ALMOST = 0.999  # nothing shows as finished before it is


class Sums(Protocol):
    """Seconds of audio of some files (the queue's `Seconds`)."""

    @property
    def total(self) -> float:
        """Of the files whose duration is known."""

    @property
    def done(self) -> float:
        """Of those, what is transcribed."""

    @property
    def unknown_open(self) -> int:
        """How many open files have no known duration."""


def task_answer(
    task: Task,
    *,
    files: Sequence[MediaFile] | None,
    counts: Mapping[FileState, int],
    sums: Sums,
    now: float,
) -> dict[str, Any]:
    """Return what GET /monitoring says of a task; `files` None leaves them out."""
    answer: dict[str, Any] = {
        "task_id": task.id,
        "task_status": task.state.value,
        "dirname": display(task.dirname),
        "source": task.source.value,
        "progress": progress(task, counts, sums),
        "eta_seconds": eta_seconds(task, counts, sums, now),
        "created_at": rfc3339(task.created_at),
        "started_at": _time(task.started_at),
        "finished_at": _time(task.finished_at),
        "updated_at": rfc3339(task.updated_at),
        "audio_seconds": round(sums.total, 3),
        "counts": {state.value: counts[state] for state in FileState if counts.get(state)},
        "warnings": [],  # of the task as a whole; a file's are its own
        "error": _problem(task.error),
    }
    return answer if files is None else answer | {"files": [file_answer(each) for each in files]}


def file_answer(file: MediaFile) -> dict[str, Any]:
    """Return what GET /monitoring says of one file; `path` and `outputs` are relative to the workdir."""
    return {
        "path": display(file.path),
        "status": file.state.value,
        "progress": file_progress(file.state, file.position, file.duration),
        "duration": file.duration,
        "language": file.language,
        "attempts": file.attempts,
        "outputs": list(file.outputs),
        "warnings": list(file.warnings),
        "error": _problem(file.error),
    }


def progress(task: Task, counts: Mapping[FileState, int], sums: Sums) -> float:
    """Return how far a task is, 0 to 1, by seconds of audio.

    A file whose duration nobody knows yet counts as one of mean length; where none is known, files count.
    """
    if task.state not in ACTIVE:
        return 1.0
    expected = _expected(counts, sums)
    if expected > 0:
        return round(min(sums.done / expected, _ALMOST), 4)
    ended, known = _number(counts, ENDED), sum(counts.values())
    return round(min(ended / known, _ALMOST), 4) if known else 0.0


def file_progress(state: FileState, position: float, duration: float | None) -> float:
    """Return how far a file is, 0 to 1, by seconds of audio."""
    if state in ENDED:
        return 1.0
    return round(min(position / duration, _ALMOST), 4) if duration else 0.0


def eta_seconds(task: Task, counts: Mapping[FileState, int], sums: Sums, now: float) -> float | None:
    """Return in how many seconds an active task ends at the pace it has had; None before there is a pace."""
    if task.state not in ACTIVE or task.started_at is None or sums.done < _SOME or now <= task.started_at:
        return None
    pace = sums.done / (now - task.started_at)
    return round(max(0.0, _expected(counts, sums) - sums.done) / pace, 1)


def _expected(counts: Mapping[FileState, int], sums: Sums) -> float:
    """Return the seconds of audio to expect, files of unknown duration taken as of mean length."""
    known = _number(counts, ENDED | OPEN) - sums.unknown_open
    return sums.total + sums.unknown_open * (sums.total / known if known > 0 else 0.0)


def _number(counts: Mapping[FileState, int], states: frozenset[FileState]) -> int:
    return sum(number for state, number in counts.items() if state in states)


def _problem(problem: Problem | None) -> dict[str, str] | None:
    return {"code": problem.code, "message": problem.message} if problem else None


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
