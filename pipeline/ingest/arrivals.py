"""What watcher and rescan find: compared with the queue and with what lies beside it, the rest enters the queue."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from pipeline.errors import (
    BadOptionsError,
    GoneError,
    IllegalTransitionError,
    OutputsUnwritableError,
    UnreadableError,
)
from pipeline.ingest import beneath, judge
from pipeline.ingest.folder_options import FolderOptions
from pipeline.ingest.judge import Verdict
from pipeline.ingest.placing import around, home, named_of, new_file, unit
from pipeline.ingest.scan import Found, is_kept_out, scan
from pipeline.tasks import WAITING, FileState, Fingerprint, MediaFile, Problem, Source, display

if TYPE_CHECKING:
    from pipeline.ingest.admission import Admission
    from pipeline.ingest.evidence import Evidence
    from pipeline.pace import Pace
    from pipeline.queue.store import TaskStore
    from pipeline.tasks import Task

logger = logging.getLogger(__name__)

KEPT_OUT = "kept_out"
LEFT = 10_000  # files that are away, remembered: about a megabyte
_COMES_BACK = frozenset({GoneError.code, KEPT_OUT})
_HAD_OUTPUTS = frozenset({FileState.DONE, FileState.SKIPPED})
Rows = Mapping[bytes, Sequence[MediaFile]]


class Arrivals:
    """Looks at directories and puts new and changed media files into the queue.

    Remembers what it has judged, so that a file that is as it was costs one stat.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it looks with
        self,
        store: TaskStore,
        root: bytes,
        evidence: Evidence,
        admission: Admission,
        pace: Pace,
        can_put: Callable[[bytes], bool] | None = None,
    ) -> None:
        """`can_put` tells whether a source's outputs could be written now."""
        self._pace = pace
        self._can_put = can_put
        self._store = store
        self._root = root
        self._evidence = evidence
        self._admission = admission
        self._judged: defaultdict[bytes, dict[bytes, Fingerprint]] = defaultdict(dict)  # by unit, then path
        # judged once, and then away, the oldest first: what comes back there was dropped anew
        self._left: dict[bytes, None] = {}

    def look(self, directory: bytes, source: Source) -> set[str]:
        """Look at a directory and its subtree (`.`: the root's loose files); return the tasks that got files."""
        found = {each.path: each for each in self._pace.through(scan(self._root, directory))}
        judged = self._judged[unit(directory if directory in found else directory + b"/")]
        missing = [path for path in judged if path not in found and beneath.is_below(path, directory)]
        for path in missing:
            del judged[path]
        self._leave(missing)
        unjudged = [each for each in found.values() if judged.get(each.path) != each.fingerprint]
        if not missing and not unjudged:
            return set()
        rows = self._store.known(directory)
        self._let_go(rows, found)
        folders = FolderOptions(self._root)
        wanted = (each for each in self._pace.through(unjudged) if folders.lets_in(each.path))
        fresh = [each for each in wanted if self._is_new(each, rows.get(each.path, ()), judged)]
        return self._admit(directory, fresh, source) if fresh else set()

    def forget(self, path: bytes) -> None:
        """Judge what lies at or below a path anew when it is looked at again."""
        for judged in self._judged.values():
            for each in [each for each in judged if beneath.is_below(each, path)]:
                del judged[each]

    def keep(self, units: Iterable[bytes]) -> None:
        """Forget what was judged in other directories than these: they are no more."""
        for gone_unit in self._judged.keys() - set(units):
            self._leave(self._judged.pop(gone_unit))

    def healed(self) -> list[bytes]:
        """Return directories of files that failed for a reason that is over, to be looked at again.

        Files that only could not be put in place are queued at once, as their finished windows are still there.
        """
        failed = self._store.in_state(FileState.FAILED)
        heard = [row.id for row in failed if self._can_put_now(row)]
        if heard:
            self._store.requeue(heard)
        over = [row.path for row in failed if self._is_over(row)]
        for path in over:
            self._judged[unit(path)].pop(path, None)
        return sorted({beneath.parent(path) for path in over})

    def _is_new(self, found: Found, rows: Sequence[MediaFile], judged: dict[bytes, Fingerprint]) -> bool:
        try:
            verdict = judge.unasked(
                found.fingerprint,
                rows,
                is_over=self._is_over,
                is_done=lambda: self._evidence.written(found.path, found.fingerprint) is not None,
            )
        except OSError as error:  # whether it is done cannot be told now: the next look asks again
            logger.warning("%s: its transcript cannot be looked for: %s", display(found.path), error.strerror)
            return False
        if verdict is Verdict.CHANGED:
            self._follow(found, rows)
        if verdict in (Verdict.KNOWN, Verdict.CHANGED):
            judged[found.path] = found.fingerprint
            self._left.pop(found.path, None)
        return verdict is Verdict.NEW

    def _follow(self, found: Found, rows: Sequence[MediaFile]) -> None:
        for row in rows:
            if row.state in WAITING:
                with suppress(IllegalTransitionError):  # a stage began it, and will notice
                    self._store.still_settling(row.id, found.fingerprint)

    def _admit(self, directory: bytes, fresh: Sequence[Found], source: Source) -> set[str]:
        """Put files into the queue, those left that no request has put there since they were judged."""
        with self._admission.to(unit(fresh[0].path)):
            rows = self._store.known(directory)
            still = [each for each in fresh if self._is_unclaimed(each, rows.get(each.path, ()))]
            active = self._store.active_at({place for each in still for place in around(each.path)})
            return {
                self._enter(dirname, files, rows, source, active.get(dirname))
                for dirname, files in _by_home(still, active).items()
            }

    def _is_unclaimed(self, found: Found, rows: Sequence[MediaFile]) -> bool:
        verdict = judge.unasked(found.fingerprint, rows, is_over=self._is_over, is_done=lambda: False)
        return verdict is Verdict.NEW

    def _enter(
        self, dirname: bytes, fresh: Sequence[Found], rows: Rows, source: Source, active: Task | None
    ) -> str:
        folders, named = FolderOptions(self._root), named_of(active) if active else {}
        priority = active.priority if active else 0
        before = [judge.in_the_way(rows.get(each.path, ()), each.fingerprint) for each in fresh]
        task, _ = self._store.open_task(
            dirname,
            source,
            {},
            files=[new_file(each, named, folders, priority) for each in fresh],
            instead_of=[row_id for ids in before for row_id in ids],
        )
        for each in fresh:
            self._judged[unit(each.path)][each.path] = each.fingerprint
            self._left.pop(each.path, None)
        return task.id

    def _let_go(self, rows: Rows, found: Mapping[bytes, Found]) -> None:
        """Skip waiting files that are gone, or kept out by now."""
        for path, standing in rows.items():
            waiting = [row for row in standing if row.state in WAITING and path not in found]
            problem = self._absence(path) if waiting else None
            for row in waiting:
                if problem:
                    with suppress(IllegalTransitionError):  # a stage began it, and will notice
                        self._store.skip(row.id, problem)

    def _absence(self, path: bytes) -> Problem | None:
        """Say why a file was not found; None when that cannot be told."""
        try:
            there = beneath.look(self._root, path) is not None
        except OSError:
            return None
        if not there:
            return gone()
        if is_kept_out(self._root, path) or is_kept_out(self._root, beneath.parent(path)):
            return Problem(code=KEPT_OUT, message="A .nowhisper file or an ignored name keeps this file out.")
        return None

    def _leave(self, missing: Iterable[bytes]) -> None:
        """Remember which of these are away, in place of those that have been for longest."""
        self._left.update(dict.fromkeys(path for path in missing if self._is_away(path)))
        for path in list(islice(self._left, max(0, len(self._left) - LEFT))):
            del self._left[path]

    def _is_away(self, path: bytes) -> bool:
        try:
            return beneath.look(self._root, path) is None
        except OSError:
            return False  # that cannot be told now

    def _is_over(self, row: MediaFile) -> bool:
        """Tell whether the reason for which a file ended is no more."""
        code = row.error.code if row.error else None
        if row.state in _HAD_OUTPUTS and row.path in self._left:
            return True  # deleted and dropped again: its transcript decides whether it is done
        if row.state is FileState.SKIPPED:
            return code in _COMES_BACK
        if row.state is FileState.FAILED and code == UnreadableError.code:
            return os.access(beneath.join(self._root, row.path), os.R_OK)
        return row.state is FileState.FAILED and code == BadOptionsError.code and self._is_mended(row.path)

    def _can_put_now(self, row: MediaFile) -> bool:
        unwritable = row.error is not None and row.error.code == OutputsUnwritableError.code
        return unwritable and self._can_put is not None and self._can_put(row.path)

    def _is_mended(self, path: bytes) -> bool:
        try:
            FolderOptions(self._root).of(beneath.parent(path))
        except BadOptionsError:
            return False
        return True


def _by_home(fresh: Iterable[Found], active: Mapping[bytes, Task]) -> Mapping[bytes, list[Found]]:
    homes: defaultdict[bytes, list[Found]] = defaultdict(list)
    for each in fresh:
        dirname = home(each.path, active)
        if dirname is not None:
            homes[dirname].append(each)
    return homes


def gone() -> Problem:
    """Return what a file that was removed before its turn ends with."""
    return Problem(code=GoneError.code, message=str(GoneError()))
