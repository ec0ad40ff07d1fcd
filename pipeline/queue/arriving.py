"""What ingest asks of the queue for files that are there: settled, skipped, superseded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.queue.matching import THESE_FILES, chunks
from pipeline.queue.rows import fingerprint_columns, problem_columns
from pipeline.queue.statements import Statements
from pipeline.tasks import WAITING, FileState, Fingerprint, MediaFile, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.queue.changes import Change


class Arriving(Statements):
    """The part of TaskStore that follows files until a stage may have them."""

    def still_settling(self, file_id: int, fingerprint: Fingerprint) -> None:
        """Note how far a growing file has come (a queued or retry_wait one goes back to settling).

        It is superseded when it became what another row stands for: a recording put back as it was.
        """

        def run(change: Change) -> None:
            found = change.get_files([file_id])
            if not found or found[0].state is not FileState.SETTLING:
                found = change.by_id([file_id], FileState.SETTLING, among=WAITING)
            _grow(change, found[0], fingerprint)

        self._write(run)

    def settle(self, files: Sequence[tuple[int, Fingerprint]]) -> list[MediaFile]:
        """Mark settling files ready: settling → queued, with their final fingerprint; return them.

        Superseded as in `still_settling`; one that is not settling any more is left alone.
        """

        def run(change: Change) -> list[MediaFile]:
            final = dict(files)
            for each in change.get_files(list(final)):
                if each.state is FileState.SETTLING:
                    _grow(change, each, final[each.id])
            settled: list[MediaFile] = []
            for some in chunks(list(final)):
                these = {"file_ids": some}
                settled += change.files([THESE_FILES], FileState.QUEUED, among=_SETTLING, given=these)
            return settled

        return self._write(run)

    def skip(
        self,
        file_id: int,
        problem: Problem | None,
        *,
        outputs: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Mark a waiting file skipped: already done (no problem, its outputs), or gone."""
        values = {"outputs": outputs, "warnings": warnings, **problem_columns(problem)}
        self._write(lambda change: change.by_id([file_id], FileState.SKIPPED, among=WAITING, values=values))


_SETTLING = frozenset({FileState.SETTLING})


def _grow(change: Change, each: MediaFile, fingerprint: Fingerprint) -> None:
    if each.fingerprint != fingerprint:
        change.rewrite([each.id], fingerprint_columns(fingerprint))
