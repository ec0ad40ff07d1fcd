"""What the queue hands out and takes in, besides Task and MediaFile."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.tasks import FileState, Fingerprint, Problem, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A media file as ingest found it. `state` is settling, queued, failed or skipped."""

    path: bytes
    fingerprint: Fingerprint
    state: FileState
    options: Mapping[str, Any]
    priority: int = 0
    error: Problem | None = None
    outputs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    duration: float | None = None
    language: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may speak for a leased file."""

    epoch: int
    token: int
    file_id: int


class Outcome(StrEnum):
    """How an attempt (one lease) ended."""

    DONE = "done"
    RETURNED = "returned"  # uncharged: drain, lost stage
    CHANGED = "changed"  # uncharged: the source changed under the stage
    RETRY = "retry"
    FAILED = "failed"
    CRASHED = "crashed"
    GONE = "gone"
    CANCELLED = "cancelled"  # or superseded
    LOST = "lost"  # uncharged: the core died


class EventKind(StrEnum):
    """What an event is about."""

    TASK = "task"
    FILE = "file"
    PROGRESS = "progress"  # the file's state is as before, its position is not


class DeliveryState(StrEnum):
    """Where the telling of one end to one receiver stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change, for live listeners: `id` grows.

    `dirname` is the task's, None once it was forgotten; `kind` is an EventKind's value; `detail` holds a file's
    `path` (as text), its `position` and `duration` for progress, and the `code` of an error.
    """

    id: int
    at: float
    task_id: str
    dirname: bytes | None
    file_id: int | None
    kind: str
    state: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """The ids of the events that are kept. What `after` an id can be told without a gap lies in here."""

    oldest: int
    newest: int

    def covers(self, after: int) -> bool:
        """Tell whether everything after this id is kept; not where the id is from another database's life."""
        return self.oldest - 1 <= after <= self.newest


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that a receiver is to get; `message_id` is the same in all attempts."""

    id: int
    task_id: str
    url: str
    origin: str
    message_id: str
    body: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class Callback:
    """Whom a task tells of its ends, and how the newest message to it stands: no state before the first end."""

    url: str
    state: DeliveryState | None
    attempts: int | None
    next_at: float | None  # seconds since the epoch
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows and where the next ones start (None at the end)."""

    rows: tuple[Any, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """A task's files, superseded ones left out: how many in each state, and how far they are."""

    counts: Mapping[FileState, int]
    sums: Seconds


@dataclass(frozen=True, slots=True)
class Overview:
    """All that is told of a task, at one moment; `files` is the page of them that was asked for."""

    task: Task
    tally: Tally
    files: Page
    callbacks: Sequence[Callback]


@dataclass(frozen=True, slots=True)
class Seconds:
    """How far a task is, in seconds of audio, over its files that are not superseded.

    `total` sums the durations that are known. `done` sums, of those same files, the whole duration of the ended
    and the position of the open: never more than `total`. `unknown_open` counts the open files whose duration no
    one knows yet; they are in neither sum.
    """

    total: float = 0.0
    done: float = 0.0
    unknown_open: int = 0
