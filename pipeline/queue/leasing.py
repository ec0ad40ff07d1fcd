"""What the relay asks of the queue while files are with a stage: leases and checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from pipeline.errors import EnvironmentUnusableError, IllegalTransitionError, UnavailableError
from pipeline.queue.changes import UNCHARGED, Change, Values
from pipeline.queue.choosing import next_queued, of_tasks, queued
from pipeline.queue.inserts import insert_or_replace
from pipeline.queue.matching import LEASED_BY, THESE_FILES, guard, speaker
from pipeline.queue.records import EventKind, Lease, Outcome
from pipeline.queue.rows import known_of, problem_columns, to_file
from pipeline.queue.statements import Statements
from pipeline.queue.tables import attempt, checkpoint, file, meta, one_of
from pipeline.tasks import FileState, MediaFile

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEASED = frozenset({FileState.LEASED})
_COMMITTING = frozenset({FileState.COMMITTING})
_ATTEMPT = insert(attempt).inline()
_PROGRESS = update(file).where(guard(file.c.state, _LEASED), LEASED_BY).returning(*file.c)
_ANOTHER: Values = {
    "epoch": select(meta.c.epoch).scalar_subquery(),
    "token": file.c.token + 1,
    "attempts": file.c.attempts + 1,
    "started_at": func.coalesce(file.c.started_at, bindparam("now")),
    **problem_columns(None),
}


class Leasing(Statements):
    """The part of TaskStore that gives files to stages. What a lease no longer allows raises IllegalTransitionError."""

    only: set[str] | None = None  # the tasks whose files are leased; None: of all

    def open_epoch(self) -> tuple[int, list[MediaFile]]:
        """Begin a new epoch: leased files go back to queued, uncharged; return it and the files left committing.

        Raises EnvironmentUnusableError where the queue cannot be written: without an epoch nothing begins.
        """

        def run(change: Change) -> tuple[int, list[MediaFile]]:
            grown = update(meta).values(epoch=meta.c.epoch + 1).returning(meta.c.epoch)
            epoch = change.connection.scalar(grown)
            if epoch is None:
                epoch = change.connection.scalar(insert(meta).values(id=1, epoch=1).returning(meta.c.epoch))
            leased = [one_of(file.c.state, _LEASED)]
            change.files(leased, FileState.QUEUED, outcome=Outcome.LOST, values=UNCHARGED)
            left = change.connection.execute(select(file).where(one_of(file.c.state, _COMMITTING)))
            return int(epoch or 0), [to_file(row) for row in left]

        try:
            epoch, left = self._write(run)
        except UnavailableError as error:
            raise EnvironmentUnusableError(str(error)) from error
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
            chosen = next_queued(change, limit, solo=solo, urgent=urgent, only=self.only)
            if not chosen:
                return []
            ids = [each.file_id for each in chosen]
            values, given = {**_ANOTHER, "worker": worker}, {"file_ids": ids, "now": change.now}
            leased = change.files([THESE_FILES], FileState.LEASED, values=values, given=given)
            change.connection.execute(_ATTEMPT, [_attempt(each, change.now) for each in leased])
            change.start_tasks(each.task_id for each in chosen if each.task_waits)
            return sorted(leased, key=lambda each: ids.index(each.id))

        return self._write(run)

    def suspect_waits(self) -> bool:
        """Tell whether a file that crashed a stage is queued and could be leased."""
        suspects = of_tasks(self.only, queued(suspects=True))
        with self._database.read() as connection:
            return connection.execute(suspects, {"limit": 1}).first() is not None

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
            known = known_of(duration=duration, language=language)
            _progress(change, lease, {"position": position, "updated_at": change.now, **known})
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
    row = change.connection.execute(_PROGRESS, {**values, **speaker(lease)}).one_or_none()
    if row is None:
        raise IllegalTransitionError(f"file {lease.file_id} is not leased with token {lease.token}")
    change.record([to_file(row)], EventKind.PROGRESS)
