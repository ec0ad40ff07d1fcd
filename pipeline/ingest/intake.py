"""The one door: what watcher, rescan, API and command line find or ask for becomes tasks and files of the queue."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import UnavailableError
from pipeline.ingest.admission import Admission
from pipeline.ingest.arrivals import Arrivals
from pipeline.ingest.evidence import Evidence
from pipeline.ingest.notices import Notice, Notices
from pipeline.ingest.placing import around, outermost, with_inner
from pipeline.ingest.requests import Render, Request, Requests
from pipeline.ingest.root import Root
from pipeline.ingest.scan import units
from pipeline.ingest.settle import Settle
from pipeline.ingest.settling import Copy, Settling
from pipeline.named import parse_named
from pipeline.pace import Pace, Precedence
from pipeline.tasks import Source, Task, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.queue.store import TaskStore

PAUSE_S = 0.25
MAX_PAUSE_S = 5.0
SUSPENDED_PAUSE_S = 2.0
SLICE_S = 1.0  # of a look at the whole workdir: what it finds is followed in between
REST = 4  # a long step is followed by a pause of so many times its length


@dataclass(frozen=True, slots=True)
class Scan:
    """The last look at the whole workdir: when it ended (monotonic seconds) and how long it took."""

    ended: float
    seconds: float


@dataclass(slots=True)
class _Sweep:
    """A look at the whole workdir under way: who asked, the directories that are left, how long it took so far."""

    source: Source
    left: Iterator[bytes]
    seconds: float = 0.0


class Intake:
    """Everything enters here. `submit` and `notice` may be called from any thread, `step` from one.

    `copy` puts a done twin's outputs beside another path, `render` writes formats again from a file's JSON, `can_put`
    tells whether a source's outputs could be written now; it makes room for whoever has `precedence`.
    """

    def __init__(  # noqa: PLR0913 - the seams of one door
        self,
        store: TaskStore,
        root: Path,
        *,
        output_dir: Path | None,
        quiet_seconds: float,
        settle_looks: bool = True,
        copy: Copy | None = None,
        render: Render | None = None,
        can_put: Callable[[bytes], bool] | None = None,
        precedence: Precedence | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._quiet_s = quiet_seconds
        self._clock = clock
        self._path = os.fsencode(root)
        self._root = Root(self._path)
        self._settle = Settle(quiet_seconds, looks=settle_looks)
        evidence = Evidence(root, output_dir)
        admission, pace = Admission(), Pace(precedence or Precedence())
        self._arrivals = Arrivals(store, self._path, evidence, admission, pace, can_put)
        self._settling = Settling(
            store, self._path, evidence, self._settle, copy, self._arrivals.forget, pace
        )
        self._requests = Requests(store.ahead(), self._path, evidence, admission, render)
        self._notices = Notices()
        self._sweep: _Sweep | None = None
        self._began: float | None = None
        self._stirred: dict[str, float] = {}  # when something last changed in a task's directory
        self.suspended: str | None = self._root.problem()
        self.last_scan: Scan | None = None

    def submit(  # noqa: PLR0913 - all that a request can say
        self,
        dirname: str | bytes,
        source: Source,
        named: Mapping[str, Any] | None = None,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        priority: int | None = None,
        force: bool = False,
        callback_url: str | None = None,
    ) -> Task:
        """Return the task for a directory or media file: active, done before, or new.

        Raises BadPathError, NotFoundError, BadOptionsError; UnavailableError while the workdir is away.
        """
        options = parse_named(named or {})
        if problem := self._root.problem():
            raise UnavailableError(problem)
        request = Request(
            path=self._requests.locate(dirname),
            source=source,
            named=options,
            include=tuple(include),
            exclude=tuple(exclude),
            priority=priority,
            force=force,
            callback_url=callback_url,
        )
        task = self._requests.submit(request)
        if task.state is TaskState.PENDING:
            self._notices.submitted(task.id)
        return task

    def notice(
        self, directory: bytes, *, moved: Iterable[bytes] = (), closed: Iterable[bytes] = (), source: Source
    ) -> None:
        """Mark a directory to be looked at; `moved` (also directories) and `closed` are hints on how files came."""
        self._notices.add(directory, moved=moved, closed=closed, source=source)

    def notice_all(self, source: Source) -> None:
        """Mark the whole workdir to be looked at."""
        self._notices.add_all(source)

    def heed(self, directory: bytes) -> None:
        """Have files that wait below a directory hear its `whisper.toml`, which came or changed."""
        self._settling.heed(directory)

    def forget(self, path: bytes) -> None:
        """Take a file or subtree for new when it is looked at again: it was erased, or was away for a moment."""
        self._notices.forget(path)

    def step(self, now: float) -> float:
        """Look at what was noticed and what is unsettled, end tasks; return in how many seconds to come again."""
        began = self._clock()
        was_away, self.suspended = self.suspended, self._root.problem()
        if self.suspended:
            return SUSPENDED_PAUSE_S
        if was_away:
            self.notice_all(Source.RESCAN)
        self._look_at_noticed(now)
        self._look_everywhere(now)
        self._stir(self._settling.step(now), now)
        self._end_tasks(now)
        if self._sweep is not None:
            return 0.0
        return min(MAX_PAUSE_S, max(PAUSE_S, REST * (self._clock() - began)))

    def _look_at_noticed(self, now: float) -> None:
        noticed = self._notices.take()
        self._stir(noticed.submitted, now)
        for path in noticed.forgotten:
            self._arrivals.forget(path)
        try:
            self._follow(noticed.directories, now)
        except UnavailableError:  # a full disk: nobody says it again before the next rescan
            for directory, notice in noticed.directories.items():
                self.notice(directory, moved=notice.moved, closed=notice.closed, source=notice.source)
            raise

    def _follow(self, notices: Mapping[bytes, Notice], now: float) -> None:
        self._stir_around(notices, now)
        self._settle.closed(path for notice in notices.values() for path in notice.closed)
        self._settle.moved({path for notice in notices.values() for path in notice.moved})
        for directory in outermost(notices):
            self._stir(self._arrivals.look(directory, notices[directory].source), now)

    def _look_everywhere(self, now: float) -> None:
        """Begin the look at the whole workdir that was asked for, or go on with it, for a slice of time."""
        began = self._clock()
        sweep = self._sweep = self._sweep or self._next_sweep()
        if sweep is None:
            return
        for directory in sweep.left:
            try:
                self._stir(self._arrivals.look(directory, sweep.source), now)
            except UnavailableError:
                self.notice(directory, source=sweep.source)
                raise
            if self._clock() - began > SLICE_S:
                sweep.seconds += self._clock() - began
                return
        ended = self._clock()
        self._sweep, self.last_scan = None, Scan(ended, sweep.seconds + ended - began)

    def _next_sweep(self) -> _Sweep | None:
        source = self._notices.take_all()
        if source is None:
            return None
        found = units(self._path)
        self._arrivals.keep(found)
        return _Sweep(source, iter((*self._arrivals.healed(), *found)))

    def _stir(self, task_ids: Iterable[str], now: float) -> None:
        self._stirred.update(dict.fromkeys(task_ids, now))

    def _stir_around(self, directories: Iterable[bytes], now: float) -> None:
        places = {place for directory in directories for place in around(directory)}
        self._stir((task.id for task in self._store.active_at(places).values()), now)

    def _end_tasks(self, now: float) -> None:
        """End the tasks whose files have ended, where nothing has changed for the quiet time, nor since the start."""
        self._stirred = {each: at for each, at in self._stirred.items() if now - at < self._quiet_s}
        if self._began is None:
            self._began = now
        if now - self._began < self._quiet_s:
            return
        over = [task for task in self._store.without_open_files() if task.id not in self._stirred]
        inner = with_inner(self._store.active_dirnames().values()) if over else frozenset()
        for task in over:
            if task.dirname in inner:
                continue  # what a task inside it took along is its own concern still
            got_files = self._arrivals.look(task.dirname, task.source)
            self._stir(got_files, now)
            if task.id not in got_files:
                self._store.end_task(task.id)
