"""What the relay asks of the queue: leases, checkpoints, commits, and how attempts end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update

from pipeline.errors import GoneError, IllegalTransitionError
from pipeline.queue.changes import HELD, Change, Values, files_in
from pipeline.queue.choosing import next_queued, queued
from pipeline.queue.inserts import insert_or_replace
from pipeline.queue.matching import leased_by
from pipeline.queue.records import EventKind, Lease, Outcome
from pipeline.queue.rows import fingerprint_columns, problem_columns, to_file
from pipeline.queue.statements import Statements
from pipeline.queue.tables import attempt, checkpoint, file, meta, one_of, standing
from pipeline.tasks import ENDED, FileState, Fingerprint, MediaFile, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CRASHES = 2  # so often may a file kill the stage before it is quarantined

_ATTEMPT = insert(attempt)
_LEASED = frozenset({FileState.LEASED})
_COMMITTING = frozenset({FileState.COMMITTING})
_UNCHARGED: Values = {"attempts": file.c.attempts - 1}
_ANOTHER: Values = {
    "epoch": select(meta.c.epoch).scalar_subquery(),
    "token": file.c.token + 1,
    "attempts": file.c.attempts + 1,
}


class Leasing(Statements):
    """The part of TaskStore that the relay uses. Whatever a lease no longer allows raises IllegalTransitionError."""

    def open_epoch(self) -> tuple[int, list[MediaFile]]:
        """Begin a new epoch: leased files go back to queued, uncharged; return it and the files left committing."""

        def run(change: Change) -> tuple[int, list[MediaFile]]:
            grown = update(meta).values(epoch=meta.c.epoch + 1).returning(meta.c.epoch)
            epoch = change.connection.scalar(grown)
            if epoch is None:
                epoch = change.connection.scalar(insert(meta).values(id=1, epoch=1).returning(meta.c.epoch))
            leased = [one_of(file.c.state, _LEASED)]
            change.files(leased, FileState.QUEUED, outcome=Outcome.LOST, values=_UNCHARGED)
            left = change.connection.execute(select(file).where(one_of(file.c.state, _COMMITTING)))
            return int(epoch or 0), [to_file(row) for row in left]

        epoch, left = self._write(run)
        self._database.began(epoch)
        return epoch, left

    def lease(
        self, worker: str, limit: int, *, solo: bool | None = None, urgent: bool = False
    ) -> list[MediaFile]:
        """Lease up to `limit` queued files, highest priority then oldest first: state leased, token + 1, attempts + 1.

        A path with another row leased or committing waits. `solo` True takes one file with crashes > 0, False
        only files without; `urgent` True only spooled recordings.
        """

        def run(change: Change) -> list[MediaFile]:
            ids = next_queued(change, limit, solo=solo, urgent=urgent)
            if not ids:
                return []
            values = {
                **_ANOTHER,
                "worker": worker,
                "started_at": func.coalesce(file.c.started_at, change.now),
                **problem_columns(None),
            }
            leased = change.by_id(ids, FileState.LEASED, values=values)
            change.connection.execute(_ATTEMPT, [_attempt(each, change.now) for each in leased])
            change.start_tasks(each.task_id for each in leased)
            return sorted(leased, key=lambda each: ids.index(each.id))

        return self._write(run)

    def suspect_waits(self) -> bool:
        """Tell whether a file that crashed a stage is queued and could be leased."""
        with self._database.read() as connection:
            return connection.execute(queued(suspects=True), {"limit": 1}).first() is not None

    def checkpoint(  # noqa: PLR0913 - what a Progress message holds
        self,
        lease: Lease,
        windows: Sequence[tuple[int, bytes]],
        *,
        position: float,
        duration: float | None,
        language: str | None,
        text_key: str,
    ) -> None:
        """Keep finished windows (start sample, encoded) of a leased file and how far it is; idempotent by start.

        `text_key` tells which complete options made them. A duration or language that is None leaves the known one.
        """

        def run(change: Change) -> None:
            values = {
                "position": position,
                "duration": func.coalesce(duration, file.c.duration),
                "language": func.coalesce(language, file.c.language),
                "updated_at": change.now,
            }
            _progress(change, lease, values)
            if windows:
                keep = insert_or_replace(change.connection, checkpoint, "text_key", "window")
                rows = [{"start": start, "window": window} for start, window in windows]
                same = {"file_id": lease.file_id, "text_key": text_key}
                change.connection.execute(keep, [row | same for row in rows])

        self._write(run)

    def windows(self, file_id: int, text_key: str) -> list[bytes]:
        """Return the file's checkpointed windows made with these options, in order; forget those made with others."""

        def run(change: Change) -> list[bytes]:
            mine = checkpoint.c.file_id == file_id
            foreign = delete(checkpoint).where(mine, checkpoint.c.text_key != text_key)
            if change.connection.execute(foreign).rowcount:
                change.connection.execute(update(file).where(file.c.id == file_id).values(position=0.0))
            ordered = select(checkpoint.c.window).where(mine).order_by(checkpoint.c.start)
            return list(change.connection.scalars(ordered))

        return self._write(run)

    def begin_commit(  # noqa: PLR0913 - what a Result is known by
        self,
        lease: Lease,
        *,
        output_sha256: str,
        sha256: str,
        fingerprint: Fingerprint,
        duration: float | None,
        language: str | None,
    ) -> MediaFile:
        """Begin to put the outputs in place: leased → committing."""
        values = {
            "output_sha256": output_sha256,
            "sha256": sha256,
            "duration": func.coalesce(duration, file.c.duration),
            "language": language,
            **fingerprint_columns(fingerprint),
        }
        return self._write(lambda change: change.by_lease(lease, FileState.COMMITTING, values=values))

    def finish_commit(self, lease: Lease, *, outputs: Sequence[str], warnings: Sequence[str]) -> MediaFile:
        """End well: committing → done; its checkpoints go; other ended rows of the path are superseded."""
        values = {
            "outputs": list(outputs),
            "warnings": list(warnings),
            "position": func.coalesce(file.c.duration, file.c.position),
        }

        def run(change: Change) -> MediaFile:
            finished = change.by_lease(lease, FileState.DONE, outcome=Outcome.DONE, values=values)
            older = [file.c.path == finished.path, standing, file.c.id != finished.id]
            change.files(older, FileState.SUPERSEDED, among=ENDED)
            return finished

        return self._write(run)

    def give_back(self, lease: Lease) -> None:
        """Return a lease: leased → queued, the attempt uncharged (drain, lost epoch, returned)."""
        self._end(lease, FileState.QUEUED, Outcome.RETURNED, among=_LEASED, values=_UNCHARGED)

    def unsettle(self, lease: Lease) -> None:
        """Wait for a source that changed under the stage: leased → settling, uncharged, its checkpoints gone."""
        unknown: Values = {"position": 0.0, "duration": None, "language": None, "sha256": None}

        def run(change: Change) -> None:
            values: Values = {**_UNCHARGED, **unknown}
            change.by_lease(lease, FileState.SETTLING, outcome=Outcome.CHANGED, values=values)
            change.drop_windows([lease.file_id])

        self._write(run)

    def retry_later(self, lease: Lease, problem: Problem) -> MediaFile:
        """Wait before another attempt: leased or committing → retry_wait."""
        return self._end(lease, FileState.RETRY_WAIT, Outcome.RETRY, values=problem_columns(problem))

    def retry_now(self, file_ids: Iterable[int]) -> None:
        """End the wait: retry_wait → queued."""
        waiting = frozenset({FileState.RETRY_WAIT})
        self._write(lambda change: change.by_id(file_ids, FileState.QUEUED, among=waiting))

    def fail(self, lease: Lease, problem: Problem) -> MediaFile:
        """Give up: leased or committing → failed."""
        return self._end(lease, FileState.FAILED, Outcome.FAILED, values=problem_columns(problem))

    def crashed(self, lease: Lease, problem: Problem) -> MediaFile:
        """Count a death of the child on this file: leased → queued, or quarantined at the second."""

        def run(change: Change) -> MediaFile:
            before = change.connection.scalar(select(file.c.crashes).where(leased_by(lease))) or 0
            to = FileState.QUARANTINED if before + 1 >= CRASHES else FileState.QUEUED
            values = {"crashes": file.c.crashes + 1, **problem_columns(problem)}
            return change.by_lease(lease, to, among=_LEASED, outcome=Outcome.CRASHED, values=values)

        return self._write(run)

    def gone(self, lease: Lease) -> MediaFile:
        """Skip a source that is not there any more: leased → skipped with problem `gone`."""
        columns = problem_columns(Problem(code=GoneError.code, message=str(GoneError())))
        return self._end(lease, FileState.SKIPPED, Outcome.GONE, among=_LEASED, values=columns)

    def requeue_commit(self, file_id: int) -> None:
        """Do it again after a restart that found the JSON not in place: committing → queued, uncharged."""

        def run(change: Change) -> None:
            change.by_id(
                [file_id], FileState.QUEUED, among=_COMMITTING, outcome=Outcome.LOST, values=_UNCHARGED
            )

        self._write(run)

    def _end(
        self,
        lease: Lease,
        to: FileState,
        outcome: Outcome,
        *,
        among: frozenset[FileState] = HELD,
        values: Values,
    ) -> MediaFile:
        return self._write(
            lambda change: change.by_lease(lease, to, among=among, outcome=outcome, values=values)
        )


def _attempt(leased: MediaFile, now: float) -> dict[str, Any]:
    return {
        "file_id": leased.id,
        "token": leased.token,
        "epoch": leased.epoch,
        "worker": leased.worker,
        "started_at": now,
    }


def _progress(change: Change, lease: Lease, values: Values) -> None:
    """Change columns of a file that stays leased."""
    row = change.update(files_in(_LEASED).where(leased_by(lease)), values).one_or_none()
    if row is None:
        raise IllegalTransitionError(f"file {lease.file_id} is not leased with token {lease.token}")
    change.record([to_file(row)], EventKind.PROGRESS)
