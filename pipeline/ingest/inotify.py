"""watchdog's inotify observer, telling of what it keeps to itself.

It re-arms after an overflow of the kernel's queue and watches directories moved in, but tells its handlers neither of
the overflow nor of the watch limit: both are caught here, where its reader passes them.
"""

from __future__ import annotations

import errno
import warnings
from typing import TYPE_CHECKING, Any

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyFullEmitter
from watchdog.observers.inotify_c import InotifyFD

from pipeline.ingest.ignore import FOLDER_OPTIONS, KEEP_OUT, is_ignored, is_media

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchdog.observers.inotify_c import InotifyEvent

# An upload's directory, moved before it was looked at, is watched twice: no harm, but the warning names all watches.
warnings.filterwarnings("ignore", r"Callback with id '\d+' already exists", RuntimeWarning)

# Neither reads (IN_OPEN, IN_CLOSE_NOWRITE), or our own would wake us, nor every write (IN_MODIFY).
EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent, DirDeletedEvent, DirMovedEvent,
    FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileMovedEvent,
]  # fmt: skip


class _Reader(InotifyFD):
    """watchdog's reader of inotify, telling of what it keeps to itself."""

    def __init__(self, lost: Callable[[], None], limited: Callable[[], None]) -> None:
        super().__init__()
        self._tell_lost = lost
        self._tell_limited = limited

    def handle_event(self, event: InotifyEvent) -> None:
        """Pass an event on; after an overflow watchdog has watched everything anew when this returns."""
        if _concerns_us(event):
            super().handle_event(event)
        if event.is_queue_overflow:
            self._tell_lost()

    def add_callback(self, *args: Any, **kwargs: Any) -> Any:
        """Watch one more directory; watchdog's recursion would swallow the error."""
        try:
            return super().add_callback(*args, **kwargs)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._tell_limited()
            raise


def _concerns_us(event: InotifyEvent) -> bool:
    """Tell whether to follow an event: half of the twenty that one file's outputs make go no further than here.

    Moves are always followed: half of one may be of a temporary name, the other of a media file's.
    """
    if event.is_directory or event.is_move or event.name in (b"", FOLDER_OPTIONS, KEEP_OUT):
        return True
    return is_media(event.name) and not is_ignored(event.name)


class Observer(BaseObserver):
    """watchdog's inotify observer around our reader."""

    def __init__(
        self,
        root: str,
        handler: FileSystemEventHandler,
        lost: Callable[[], None],
        limited: Callable[[], None],
    ) -> None:
        self._reader = _Reader(lost, limited)
        self._reader.start()
        super().__init__(InotifyFullEmitter, inotify_fd=self._reader)
        self.schedule(handler, root, recursive=True, event_filter=EVENTS)

    def is_whole(self) -> bool:
        """Tell whether every thread of it is alive: they end when the workdir is removed, or on an error."""
        return self.is_alive() and self._reader.is_alive() and all(each.is_alive() for each in self.emitters)

    def on_thread_stop(self) -> None:
        """Stop the reader too."""
        super().on_thread_stop()
        self._reader.stop()
        self._reader.join()
