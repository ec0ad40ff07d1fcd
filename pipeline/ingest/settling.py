"""Files in the queue that may still be written: looked at until they are ready, then queued or found done."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from pipeline.errors import ConflictError, IllegalTransitionError, NotFoundError
from pipeline.ingest import beneath, writers
from pipeline.ingest.arrivals import gone
from pipeline.ingest.beneath import ROOT
from pipeline.ingest.folder_options import FolderOptions
from pipeline.ingest.placing import is_forced, told_since
from pipeline.logs import ids
from pipeline.options import contradicts
from pipeline.tasks import WAITING, FileState, Fingerprint, MediaFile, display

if TYPE_CHECKING:
    from pipeline.ingest.beneath import Look
    from pipeline.ingest.evidence import Evidence
    from pipeline.ingest.settle import Settle
    from pipeline.pace import Pace
    from pipeline.queue.records import NewFile
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
        pace: Pace,
    ) -> None:
        """`forget` hears of each file that was not there: it may be back before anybody looks."""
        self._store = store
        self._root = root
        self._evidence = evidence
        self._settle = settle
        self._copy = copy
        self._forget = forget
        self._pace = pace
        self._ruled: deque[bytes] = deque()  # directories whose whisper.toml came or changed

    def heed(self, directory: bytes) -> None:
        """Have the files that wait below a directory hear its `whisper.toml`. From any thread."""
        self._ruled.append(directory)

    def step(self, now: float) -> set[str]:
        """Look at what is due; return the tasks in which something changed."""
        while self._ruled:
            self._retell(self._ruled.popleft())
        waiting: defaultdict[bytes, list[MediaFile]] = defaultdict(list)
        for row in self._store.in_state(FileState.SETTLING):
            waiting[row.path].append(row)
        self._settle.keep(waiting)
        ready: list[tuple[MediaFile, Fingerprint]] = []
        changed: set[str] = set()
        for path, rows in self._pace.through(waiting.items()):
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
        task_ids = {row.task_id for row, _ in ready}
        forced = {task_id for task_id in task_ids if is_forced(self._store.task(task_id))}
        todo, retold, folders = [], [], FolderOptions(self._root)
        for row, fingerprint in self._pace.through(ready):
            new = told_since(row, fingerprint, folders)
            wanted = replace(row, options=new.options) if new else row
            try:
                done = None if row.task_id in forced else self._done(wanted, fingerprint)
            except OSError as error:  # whether it is done cannot be told now: it stays settling
                logger.warning(
                    "%s: its transcript cannot be looked for: %s",
                    display(row.path),
                    error.strerror,
                    extra=ids(row),
                )
                continue
            if done is None and new:
                retold.append((row, fingerprint))
                continue
            if done is None:
                todo.append((row.id, fingerprint))
                continue
            with suppress(IllegalTransitionError):  # cancelled meanwhile
                self._store.skip(row.id, None, outputs=done.outputs, warnings=done.warnings)
        if todo:
            self._store.settle(todo)
        self._queue_instead(retold, folders)

    def _retell(self, directory: bytes) -> None:
        folders = FolderOptions(self._root)
        if directory == ROOT:  # the whole workdir's
            rows = self._store.in_state(FileState.QUEUED, FileState.RETRY_WAIT)
        else:
            known = self._store.known(directory).values()
            rows = [row for each in known for row in each if row.state in WAITING - {FileState.SETTLING}]
        told = (row for row in rows if told_since(row, row.fingerprint, folders))
        self._queue_instead(((row, row.fingerprint) for row in told), folders)

    def _queue_instead(
        self, waiting: Iterable[tuple[MediaFile, Fingerprint]], folders: FolderOptions
    ) -> None:
        """Let rows with more options take the place of those that wait still; what a request says stays."""
        by_task: defaultdict[str, dict[int, NewFile]] = defaultdict(dict)
        for row, fingerprint in waiting:
            now = self._store.file(row.id)
            new = told_since(now, fingerprint, folders) if now and now.state in WAITING else None
            if new is not None:
                by_task[row.task_id][row.id] = new
        for task_id, instead in by_task.items():
            with suppress(ConflictError, NotFoundError):  # cancelled or forgotten meanwhile
                self._store.add_files(task_id, list(instead.values()), instead_of=list(instead))

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
