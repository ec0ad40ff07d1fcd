"""File system events by watchdog: hints on where to look, never the truth."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchdog.events import (
    DirMovedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)

from pipeline.ingest.beneath import parent
from pipeline.ingest.ignore import FOLDER_OPTIONS, KEEP_OUT, is_ignored, is_media
from pipeline.ingest.inotify import Observer
from pipeline.mounts import is_remote
from pipeline.tasks import Source

if TYPE_CHECKING:
    from pipeline.ingest.intake import Intake

logger = logging.getLogger(__name__)

STEP_S = 1.0
POLL_S = 10.0
POLL_REST = 20  # a poll comes no sooner than so many times the length of the last scan
RETRY_S = 600.0  # a raised watch limit is noticed after this


class Watch:
    """Watches the workdir by inotify; on network and FUSE mounts, or where watches run out, it polls.

    Polling is a look at the whole workdir by Intake's own scan, which costs one stat a file: watchdog's
    PollingObserver would keep a second snapshot of the tree and compare that.
    """

    def __init__(self, root: Path, intake: Intake, *, polling: bool | None = None) -> None:
        self._root = os.path.realpath(root)
        self._intake = intake
        self._polls = is_remote(root) if polling is None else polling
        self._observer: Observer | None = None
        self._identity: tuple[int, int] | None = None
        self._trouble = threading.Event()  # the watch limit was met
        self._due = self._retry_at = 0.0
        self.degraded: str | None = None

    @property
    def kind(self) -> str:
        """How changes are noticed: inotify or polling."""
        return "polling" if self._observer is None else "inotify"

    def start(self) -> None:
        """Watch, then have everything looked at: what came before the watch is found by the look."""
        if not self._polls:
            self._arm()
        self._intake.notice_all(Source.WATCH)

    def stop(self) -> None:
        """Watch no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def step(self, now: float) -> float:
        """See that the watch still stands, or poll; return in how many seconds to come again."""
        if self._trouble.is_set():
            self._fall_back(now)
        if self._observer is None:
            self._poll(now)
        elif not self._observer.is_whole() or self._identity != self._look():
            self._rearm()
        return STEP_S

    def _arm(self) -> None:
        self._trouble.clear()
        self._identity = self._look()
        try:
            self._observer = Observer(
                self._root, Handler(self._root, self._intake), self._lost, self._limited
            )
            self._observer.start()
            self.degraded = None
        except OSError as error:  # the limit on instances, or the workdir is away
            self._observer = None
            self._say(f"inotify cannot be used ({error.strerror})")

    def _rearm(self) -> None:
        """Watch anew what lies at the workdir's path now, once something does."""
        if self._look() is not None:
            self.stop()
            self.start()

    def _fall_back(self, now: float) -> None:
        self.stop()
        self._trouble.clear()
        self._due, self._retry_at = now, now + RETRY_S
        self._say(
            "there are more directories than inotify watches; raise the sysctl fs.inotify.max_user_watches"
        )

    def _poll(self, now: float) -> None:
        if self.degraded and now >= self._retry_at:
            self._retry_at = now + RETRY_S
            self._rearm()
        elif now >= self._due:
            scan = self._intake.last_scan
            self._due = now + max(POLL_S, POLL_REST * scan.seconds if scan else 0.0)
            self._intake.notice_all(Source.WATCH)

    def _lost(self) -> None:
        logger.warning("file system events were lost; the whole workdir is looked at")
        self._intake.notice_all(Source.WATCH)

    def _limited(self) -> None:
        self._trouble.set()

    def _say(self, what: str) -> None:
        self.degraded = f"{what}; the workdir is polled every {POLL_S:.0f} s instead"
        logger.warning("%s", self.degraded)

    def _look(self) -> tuple[int, int] | None:
        try:
            found = Path(self._root).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


class Handler(FileSystemEventHandler):
    """Turns events into notices; those about names that are none of ours (our outputs among them) are dropped."""

    def __init__(self, root: str, intake: Intake) -> None:
        self._prefix = os.fsencode(root).rstrip(b"/") + b"/"
        self._intake = intake

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Mark the directories that an event is about."""
        moved = isinstance(event, (FileMovedEvent, DirMovedEvent))
        closed = isinstance(event, FileClosedEvent)
        for place, came in ((event.src_path, False), (event.dest_path, moved)):
            path = self._within(os.fsencode(place))
            if path is not None:
                self._notice(path, event, moved=came, closed=closed)

    def _within(self, place: bytes) -> bytes | None:
        """Return a path below the workdir that may concern us, else None."""
        path = place.removeprefix(self._prefix)
        if not path or path == place or any(is_ignored(part) for part in path.split(b"/")[:-1]):
            return None
        return path

    def _notice(self, path: bytes, event: FileSystemEvent, *, moved: bool, closed: bool) -> None:
        name = path.rpartition(b"/")[2]
        if name == FOLDER_OPTIONS:
            self._intake.heed(parent(path))
            self._intake.notice_all(Source.WATCH)
        elif name == KEEP_OUT:
            self._intake.notice(parent(path), source=Source.WATCH)
        elif event.is_directory and not is_ignored(name):
            self._intake.notice(path, moved=(path,) if moved else (), source=Source.WATCH)
        elif is_media(name) and not is_ignored(name):
            hints: dict[str, Any] = {"moved": (path,)} if moved else {"closed": (path,)} if closed else {}
            self._intake.notice(parent(path), source=Source.WATCH, **hints)
