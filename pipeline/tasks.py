"""What the queue holds: tasks, their media files, and the one table of allowed transitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class FileState(StrEnum):
    """Where one media file stands on its way to a transcript."""

    SETTLING = "settling"  # still being written
    QUEUED = "queued"
    LEASED = "leased"  # a stage holds it
    COMMITTING = "committing"  # its outputs are being put in place
    RETRY_WAIT = "retry_wait"
    DONE = "done"
    FAILED = "failed"  # for good, until it changes or somebody asks
    QUARANTINED = "quarantined"  # killed the stage twice
    SKIPPED = "skipped"  # already done, or gone before its turn
    SUPERSEDED = "superseded"  # a newer row of the same path took its place
    CANCELLED = "cancelled"


_S = FileState
_LET_GO = frozenset({_S.CANCELLED, _S.SKIPPED, _S.SUPERSEDED})

TRANSITIONS: Mapping[FileState, frozenset[FileState]] = {
    _S.SETTLING: frozenset({_S.QUEUED, _S.FAILED}) | _LET_GO,
    _S.QUEUED: frozenset({_S.LEASED, _S.SETTLING, _S.FAILED}) | _LET_GO,
    _S.LEASED: frozenset({_S.COMMITTING, _S.QUEUED, _S.SETTLING, _S.RETRY_WAIT, _S.FAILED, _S.QUARANTINED})
    | _LET_GO,
    _S.COMMITTING: frozenset({_S.DONE, _S.QUEUED, _S.RETRY_WAIT, _S.FAILED}) | _LET_GO,
    _S.RETRY_WAIT: frozenset({_S.QUEUED, _S.SETTLING, _S.FAILED}) | _LET_GO,
    _S.DONE: frozenset({_S.SUPERSEDED}),
    _S.FAILED: frozenset({_S.QUEUED, _S.SUPERSEDED}),
    _S.QUARANTINED: frozenset({_S.QUEUED, _S.SUPERSEDED}),
    _S.SKIPPED: frozenset({_S.QUEUED, _S.SUPERSEDED}),
    _S.CANCELLED: frozenset({_S.QUEUED, _S.SUPERSEDED}),
    _S.SUPERSEDED: frozenset(),
}

WAITING = frozenset({_S.SETTLING, _S.QUEUED, _S.RETRY_WAIT})  # no stage has begun it
OPEN = WAITING | {_S.LEASED, _S.COMMITTING}
ENDED = frozenset(FileState) - OPEN
SUCCEEDED = frozenset({_S.DONE, _S.SKIPPED})
FAILURES = frozenset({_S.FAILED, _S.QUARANTINED})


def predecessors(state: FileState) -> frozenset[FileState]:
    """Return the states from which `state` may be entered."""
    return frozenset(before for before, after in TRANSITIONS.items() if state in after)


class TaskState(StrEnum):
    """What a task answers as `task_status`."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = frozenset({TaskState.PENDING, TaskState.RUNNING})


class Source(StrEnum):
    """The door through which a task came."""

    WATCH = "watch"
    API = "api"
    RESCAN = "rescan"
    CLI = "cli"


def ended_task_state(counts: Mapping[FileState, int]) -> TaskState:
    """Return what a task becomes once all its files (counted by state) have ended.

    Superseded and cancelled files count for nothing; a task without any other file has failed.
    """
    good = sum(counts.get(state, 0) for state in SUCCEEDED)
    bad = sum(counts.get(state, 0) for state in FAILURES)
    if not good:
        return TaskState.FAILED
    return TaskState.PARTIAL if bad else TaskState.COMPLETED


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells a source from a later version of itself: bytes, and nanoseconds since the epoch."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a file or task failed: a stable code for programs, a message for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFile:
    """One media file of a task, as the queue remembers it. Times are seconds since the epoch, UTC."""

    id: int
    task_id: str
    path: bytes  # relative to the workdir; names need not be UTF-8
    state: FileState
    fingerprint: Fingerprint
    options: Mapping[str, Any]  # only what was asked for by name (POST, CLI, whisper.toml)
    text_key: str  # which text those named options ask for; "" when none of them changes the text
    priority: int = 0
    epoch: int = 0  # the core's start that leased it last
    token: int = 0  # grows with each lease
    worker: str | None = None
    attempts: int = 0
    crashes: int = 0
    duration: float | None = None  # declared, seconds of audio
    position: float = 0.0  # seconds of audio transcribed
    language: str | None = None
    sha256: str | None = None  # of the source, once a stage has read it
    output_sha256: str | None = None  # of the JSON being committed, or committed
    outputs: tuple[str, ...] = ()  # display paths, relative to the workdir or to output_dir
    warnings: tuple[str, ...] = ()
    error: Problem | None = None
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One directory (or single media file) to transcribe. Times are seconds since the epoch, UTC."""

    id: str  # 128 random bits, hexadecimal
    dirname: bytes  # relative to the workdir; b"." is the root's loose files
    state: TaskState
    source: Source
    options: Mapping[str, Any] = field(default_factory=dict)  # named by POST or CLI
    priority: int = 0
    error: Problem | None = None
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    updated_at: float = 0.0


def display(path: bytes) -> str:
    r"""Return a path as text that any JSON can hold; bytes that are not UTF-8 show as \xNN."""
    return path.decode("utf-8", "backslashreplace")
