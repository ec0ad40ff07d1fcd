"""TaskStore: every statement of the queue. Rows leave as frozen records; every guard derives from TRANSITIONS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem, Source, Task, TaskState


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change, for live listeners: `id` grows."""

    id: int
    at: float
    task_id: str
    file_id: int | None
    kind: str
    state: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows and where the next ones start (None at the end)."""

    rows: tuple[Any, ...]
    next_cursor: str | None


class TaskStore:
    """The queue over one Database. Every method is one transaction; times come from the `clock` it was given."""

    # ---- starting ----

    def open_epoch(self) -> tuple[int, list[MediaFile]]:
        """Begin a new epoch: leased files go back to queued, uncharged; return it and the files left committing."""
        raise NotImplementedError

    # ---- ingest ----

    def open_task(self, dirname: bytes, source: Source, options: Mapping[str, Any], *, priority: int = 0, callback_url: str | None = None) -> tuple[Task, bool]:
        """Return the active task of `dirname` and whether this call made it (INSERT … ON CONFLICT DO NOTHING)."""
        raise NotImplementedError

    def change_task(self, task_id: str, *, options: Mapping[str, Any] | None = None, priority: int | None = None, callback_url: str | None = None) -> Task:
        """Lay options and priority over an active task and its waiting files (settling, queued, retry_wait)."""
        raise NotImplementedError

    def add_files(self, task_id: str, files: Sequence[NewFile]) -> list[MediaFile]:
        """Add files, each unless a row of the same path, fingerprint and text_key stands (not superseded); return those added.

        A waiting row of the same path with another fingerprint or text_key is superseded by the new one.
        """
        raise NotImplementedError

    def take_along(self, task_id: str, directory: bytes) -> int:
        """Move the waiting files below `directory` from other active tasks to this one; return how many."""
        raise NotImplementedError

    def still_settling(self, file_id: int, fingerprint: Fingerprint) -> None:
        """Note how far a growing file has come (state settling, or queued → settling)."""
        raise NotImplementedError

    def settle(self, files: Sequence[tuple[int, Fingerprint]]) -> list[MediaFile]:
        """Mark settling files ready: settling → queued, with their final fingerprint."""
        raise NotImplementedError

    def skip(self, file_id: int, problem: Problem | None, *, outputs: tuple[str, ...] = (), warnings: tuple[str, ...] = ()) -> None:
        """Mark a waiting file skipped: already done (no problem, its outputs), or gone."""
        raise NotImplementedError

    def refuse(self, file_id: int, problem: Problem) -> None:
        """Mark a waiting file failed before any stage saw it (bad_options, outside_workdir)."""
        raise NotImplementedError

    def supersede(self, file_ids: Iterable[int]) -> None:
        """Mark rows superseded (force; a source that changed after it ended)."""
        raise NotImplementedError

    def known(self, directory: bytes, *, recursive: bool = True) -> dict[bytes, list[MediaFile]]:
        """Return all rows below `directory` that are not superseded, by path."""
        raise NotImplementedError

    def done_twins(self, sha256: str) -> list[MediaFile]:
        """Return done rows (any path) of a source with this content."""
        raise NotImplementedError

    def sizes_done(self, size: int) -> bool:
        """Tell whether any done row's source has this size (only then is hashing worth it)."""
        raise NotImplementedError

    def end_task(self, task_id: str, error: Problem | None = None) -> Task:
        """End an active task whose files have all ended; its state derives from them. No-op while files are open."""
        raise NotImplementedError

    # ---- relay ----

    def lease(self, worker: str, limit: int, *, solo: bool | None = None) -> list[MediaFile]:
        """Lease up to `limit` queued files, highest priority then oldest first: state leased, token + 1, attempts + 1.

        A path with another row leased or committing waits. `solo` True takes one file with crashes > 0, False
        only files without.
        """
        raise NotImplementedError

    def checkpoint(self, lease: Lease, windows: Sequence[tuple[int, bytes]], *, position: float, duration: float | None, language: str | None, text_key: str) -> None:
        """Keep finished windows (start sample, encoded) of a leased file and how far it is; idempotent by start."""
        raise NotImplementedError

    def windows(self, file_id: int, text_key: str) -> list[bytes]:
        """Return the file's checkpointed windows made with these options, in order; forget those made with others."""
        raise NotImplementedError

    def begin_commit(self, lease: Lease, *, output_sha256: str, sha256: str, fingerprint: Fingerprint, duration: float | None, language: str | None) -> MediaFile:
        """leased → committing."""
        raise NotImplementedError

    def finish_commit(self, lease: Lease, *, outputs: Sequence[str], warnings: Sequence[str]) -> MediaFile:
        """committing → done; its checkpoints go; other ended rows of the path are superseded."""
        raise NotImplementedError

    def give_back(self, lease: Lease) -> None:
        """leased → queued, the attempt uncharged (drain, lost epoch, returned)."""
        raise NotImplementedError

    def unsettle(self, lease: Lease) -> None:
        """leased → settling, uncharged, its checkpoints gone: the source changed under the stage."""
        raise NotImplementedError

    def retry_later(self, lease: Lease, problem: Problem) -> MediaFile:
        """leased or committing → retry_wait."""
        raise NotImplementedError

    def retry_now(self, file_ids: Iterable[int]) -> None:
        """retry_wait → queued."""
        raise NotImplementedError

    def fail(self, lease: Lease, problem: Problem) -> MediaFile:
        """leased or committing → failed."""
        raise NotImplementedError

    def crashed(self, lease: Lease, problem: Problem) -> MediaFile:
        """The child died on this file: crashes + 1; leased → queued, or quarantined at the second."""
        raise NotImplementedError

    def gone(self, lease: Lease) -> MediaFile:
        """leased → skipped with problem `gone`."""
        raise NotImplementedError

    def requeue_commit(self, file_id: int) -> None:
        """committing → queued, after a restart that found the JSON not in place."""
        raise NotImplementedError

    # ---- requests ----

    def cancel(self, task_id: str) -> tuple[Task, list[MediaFile]]:
        """Cancel an active task: open files that are not committing → cancelled; return those that were leased.

        Raises NotFoundError, ConflictError when the task has ended.
        """
        raise NotImplementedError

    def retry(self, task_id: str) -> tuple[Task, int]:
        """Failed, quarantined and cancelled files → queued with attempts and crashes 0; the task is active again.

        Raises NotFoundError; ConflictError when another task of that directory is active.
        """
        raise NotImplementedError

    def requeue(self, file_ids: Iterable[int]) -> None:
        """Ended files → queued, attempts and crashes 0 (healed: readable again, whisper.toml mended)."""
        raise NotImplementedError

    def forget(self, path: bytes) -> list[MediaFile]:
        """Delete the rows and checkpoints of a file or of everything below a directory; return what was there."""
        raise NotImplementedError

    # ---- reading ----

    def task(self, task_id: str) -> Task | None:
        """Return one task."""
        raise NotImplementedError

    def tasks(self, *, states: Iterable[TaskState] = (), dirname: bytes | None = None, updated_after: float | None = None, limit: int = 100, cursor: str | None = None) -> Page:
        """Return tasks, newest first."""
        raise NotImplementedError

    def active_tasks(self) -> list[Task]:
        """Return pending and running tasks, oldest first."""
        raise NotImplementedError

    def last_task(self, dirname: bytes) -> Task | None:
        """Return the newest task of exactly this dirname."""
        raise NotImplementedError

    def task_of(self, path: bytes) -> Task | None:
        """Return the newest task that did a file at or below this path."""
        raise NotImplementedError

    def file(self, file_id: int) -> MediaFile | None:
        """Return one file."""
        raise NotImplementedError

    def files(self, task_id: str, *, states: Iterable[FileState] = (), limit: int | None = None, cursor: str | None = None) -> Page:
        """Return a task's files in path order, superseded ones left out."""
        raise NotImplementedError

    def counts(self, task_ids: Sequence[str]) -> dict[str, dict[FileState, int]]:
        """Return for each task its files by state, superseded ones left out."""
        raise NotImplementedError

    def sums(self, task_ids: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Return for each task the (declared duration, position) of its files, in seconds of audio, unknown as 0."""
        raise NotImplementedError

    def in_state(self, *states: FileState) -> list[MediaFile]:
        """Return all files in these states (few: leased, committing, retry_wait, settling)."""
        raise NotImplementedError

    def changed_since(self, event_id: int, limit: int = 1000) -> list[Event]:
        """Return events after this one, oldest first."""
        raise NotImplementedError

    def trim_events(self, keep: int) -> int:
        """Delete all but the newest `keep` events; return how many went."""
        raise NotImplementedError

    def outputs_removed(self, path: bytes) -> bool:
        """Tell whether a done row of this path stands (its JSON may have been removed by the user)."""
        raise NotImplementedError
