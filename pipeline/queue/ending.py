"""What the relay asks of the queue when a stage is done with a file: commits, and all other ends of attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select

from pipeline.errors import GoneError
from pipeline.queue.changes import HELD, UNCHARGED, Change, Values
from pipeline.queue.matching import LEASED_BY, speaker
from pipeline.queue.records import Lease, Outcome
from pipeline.queue.rows import fingerprint_columns, known_of, problem_columns
from pipeline.queue.statements import Statements
from pipeline.queue.tables import file, standing
from pipeline.tasks import ENDED, FileState, Fingerprint, MediaFile, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CRASHES = 2  # so often may a file kill the stage before it is quarantined

_LEASED = frozenset({FileState.LEASED})
_COMMITTING = frozenset({FileState.COMMITTING})
_CRASHES = select(file.c.crashes).where(LEASED_BY)
_ONE_MORE: Values = {"crashes": file.c.crashes + 1}
_OTHERS = (file.c.path == bindparam("same_path"), standing, file.c.id != bindparam("newer"))
_ALL_OF_IT = func.coalesce(file.c.duration, file.c.position)


class Ending(Statements):
    """The part of TaskStore that ends attempts. Whatever a lease no longer allows raises IllegalTransitionError."""

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
            "language": language,
            **known_of(duration=duration),
            **fingerprint_columns(fingerprint),
        }
        return self._write(lambda change: change.by_lease(lease, FileState.COMMITTING, values=values))

    def finish_commit(self, lease: Lease, *, outputs: Sequence[str], warnings: Sequence[str]) -> MediaFile:
        """End well: committing → done; its checkpoints go; other ended rows of the path are superseded."""
        values = {"outputs": list(outputs), "warnings": list(warnings), "position": _ALL_OF_IT}

        def run(change: Change) -> MediaFile:
            finished = change.by_lease(lease, FileState.DONE, outcome=Outcome.DONE, values=values)
            newer = {"same_path": finished.path, "newer": finished.id}
            change.files(_OTHERS, FileState.SUPERSEDED, among=ENDED, given=newer)
            return finished

        return self._write(run)

    def give_back(self, lease: Lease) -> None:
        """Return a lease: leased → queued, the attempt uncharged (drain, lost epoch, returned)."""
        self._end(lease, FileState.QUEUED, Outcome.RETURNED, among=_LEASED, values=UNCHARGED)

    def unsettle(self, lease: Lease) -> None:
        """Wait for a source that changed under the stage: leased → settling, uncharged, its checkpoints gone."""
        unknown: Values = {"position": 0.0, "duration": None, "language": None, "sha256": None}

        def run(change: Change) -> None:
            values: Values = {**UNCHARGED, **unknown}
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
            before = change.connection.scalar(_CRASHES, speaker(lease)) or 0
            to = FileState.QUARANTINED if before + 1 >= CRASHES else FileState.QUEUED
            values = {**_ONE_MORE, **problem_columns(problem)}
            return change.by_lease(lease, to, among=_LEASED, outcome=Outcome.CRASHED, values=values)

        return self._write(run)

    def gone(self, lease: Lease) -> MediaFile:
        """Skip a source that is not there any more: leased → skipped with problem `gone`."""
        columns = problem_columns(Problem(code=GoneError.code, message=str(GoneError())))
        return self._end(lease, FileState.SKIPPED, Outcome.GONE, among=_LEASED, values=columns)

    def done_already(self, lease: Lease, *, outputs: Sequence[str], warnings: Sequence[str]) -> MediaFile:
        """Skip a file whose transcript lies there: leased → skipped with its outputs, the attempt uncharged."""
        values = {**UNCHARGED, "outputs": list(outputs), "warnings": list(warnings)}
        return self._end(lease, FileState.SKIPPED, Outcome.RETURNED, among=_LEASED, values=values)

    def requeue_commit(self, file_id: int) -> None:
        """Do it again after a restart that found the JSON not in place: committing → queued, uncharged."""

        def run(change: Change) -> None:
            change.by_id(
                [file_id], FileState.QUEUED, among=_COMMITTING, outcome=Outcome.LOST, values=UNCHARGED
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
