"""Files in the queue that may still be written: looked at until they are ready, then queued or found done."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from pipeline.errors import IllegalTransitionError, NotFoundError
from pipeline.ingest import beneath, writers
from pipeline.ingest.arrivals import gone
from pipeline.ingest.placing import FORCE
from pipeline.logs import ids
from pipeline.options import contradicts
from pipeline.tasks import FileState, Fingerprint, MediaFile, display

if TYPE_CHECKING:
    from pipeline.ingest.beneath import Look
    from pipeline.ingest.evidence import Evidence
    from pipeline.ingest.settle import Settle
    from pipeline.queue.store import TaskStore

logger = logging.getLogger(__name__)

AT_ONCE = 200  # so many are queued together: of a hundred thousand, the first need not wait for the last


class Transcript(Protocol):
    """What lies beside a source: display paths, and what was odd."""

    @property
    def outputs(self) -> tuple[str, ...]: ...  # noqa: D102 - its class says it

    @property
    def warnings(self) -> tuple[str, ...]: ...  # noqa: D102 - its class says it


Copy = Callable[[MediaFile, bytes, Fingerprint], Transcript]


class Settling:
    """Looks at every settling file when it is due; a ready one is queued, or skipped where it is done already."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it looks with
        self,
        store: TaskStore,
        root: bytes,
        evidence: Evidence,
        settle: Settle,
        copy: Copy | None,
        forget: Callable[[bytes], None],
    ) -> None:
        """`forget` hears of each file that was not there: it may be back before anybody looks."""
        self._store = store
        self._root = root
        self._evidence = evidence
        self._settle = settle
        self._copy = copy
        self._forget = forget

    def step(self, now: float) -> set[str]:
        """Look at what is due; return the tasks in which something changed."""
        waiting: defaultdict[bytes, list[MediaFile]] = defaultdict(list)
        for row in self._store.in_state(FileState.SETTLING):
            waiting[row.path].append(row)
        self._settle.keep(waiting)
        ready: list[tuple[MediaFile, Fingerprint]] = []
        changed: set[str] = set()
        for path, rows in waiting.items():
            if self._settle.is_due(path, now):
                changed |= self._look(path, rows, now, ready)
            if len(ready) >= AT_ONCE:
                self._queue(ready)
                ready.clear()
        self._settle.drop_hints()
        self._queue(ready)
        return changed

    def _look(
        self, path: bytes, rows: Sequence[MediaFile], now: float, ready: list[tuple[MediaFile, Fingerprint]]
    ) -> set[str]:
        """Look at one file; return the tasks for which it is not as it was."""
        try:
            look = beneath.look(self._root, path)
        except OSError as error:  # the file system cannot say: it stays settling
            logger.warning("%s: cannot be looked at: %s", display(path), error.strerror)
            return set()
        if look is None:
            self._forget(path)
            for row in rows:
                with suppress(IllegalTransitionError):  # cancelled meanwhile
                    self._store.skip(row.id, gone())
            return {row.task_id for row in rows}
        if self._settle.is_ready(path, look, now, lambda: writers.has_writer(self._root, path)):
            ready.extend((row, look.fingerprint) for row in rows)
            return set()
        return self._follow(rows, look)

    def _follow(self, rows: Sequence[MediaFile], look: Look) -> set[str]:
        grown = [row for row in rows if row.fingerprint != look.fingerprint]
        for row in grown:
            with suppress(IllegalTransitionError):  # cancelled meanwhile
                self._store.still_settling(row.id, look.fingerprint)
        return {row.task_id for row in grown}

    def _queue(self, ready: Sequence[tuple[MediaFile, Fingerprint]]) -> None:
        forced = {task_id for task_id in {row.task_id for row, _ in ready} if self._is_forced(task_id)}
        todo = []
        for row, fingerprint in ready:
            try:
                done = None if row.task_id in forced else self._done(row, fingerprint)
            except OSError as error:  # whether it is done cannot be told now: it stays settling
                logger.warning(
                    "%s: its transcript cannot be looked for: %s",
                    display(row.path),
                    error.strerror,
                    extra=ids(row),
                )
                continue
            if done is None:
                todo.append((row.id, fingerprint))
                continue
            with suppress(IllegalTransitionError):  # cancelled meanwhile
                self._store.skip(row.id, None, outputs=done.outputs, warnings=done.warnings)
        if todo:
            self._store.settle(todo)

    def _is_forced(self, task_id: str) -> bool:
        task = self._store.task(task_id)
        return task is not None and bool(task.options.get(FORCE))

    def _done(self, row: MediaFile, fingerprint: Fingerprint) -> Transcript | None:
        """Return the transcript a ready file has already: its own, or a copy of that of the same content elsewhere."""
        written = self._evidence.written(row.path, fingerprint)
        if written and not contradicts(row.options, written.options, written.language):
            return written
        if written or not self._copy or not self._store.sizes_done(fingerprint.size):
            return None
        return self._twin(row, fingerprint, self._copy)

    def _twin(self, row: MediaFile, fingerprint: Fingerprint, copy: Copy) -> Transcript | None:
        try:
            sha256 = self._evidence.sha256(row.path)
            for twin in self._store.done_twins(sha256):
                made = self._evidence.written(twin.path, twin.fingerprint)
                if made and not contradicts(row.options, made.options, made.language):
                    return copy(twin, row.path, fingerprint)
        except (OSError, NotFoundError) as error:  # it is transcribed, then
            logger.warning(
                "%s: the outputs of the same recording were not copied: %s",
                display(row.path),
                error,
                extra=ids(row),
            )
        return None
