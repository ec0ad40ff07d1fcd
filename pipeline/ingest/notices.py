"""What was noticed since the last step: any thread marks, one takes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.tasks import Source


@dataclass(slots=True)
class Notice:
    """A directory to look at: who asked first, and hints on how its files came."""

    source: Source
    moved: set[bytes] = field(default_factory=set)
    closed: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class Noticed:
    """Directories to look at, paths to take for new, ids of tasks that were asked for."""

    directories: dict[bytes, Notice] = field(default_factory=dict)
    forgotten: set[bytes] = field(default_factory=set)
    submitted: set[str] = field(default_factory=set)


class Notices:
    """The marks, behind one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noticed = Noticed()
        self._everything: Source | None = None

    def add(
        self, directory: bytes, *, moved: Iterable[bytes], closed: Iterable[bytes], source: Source
    ) -> None:
        """Mark a directory; hints on it add up."""
        with self._lock:
            notice = self._noticed.directories.setdefault(directory, Notice(source))
            notice.moved.update(moved)
            notice.closed.update(closed)

    def add_all(self, source: Source) -> None:
        """Mark the whole workdir."""
        with self._lock:
            self._everything = source

    def forget(self, path: bytes) -> None:
        """Mark a path to be taken for new."""
        with self._lock:
            self._noticed.forgotten.add(path)

    def submitted(self, task_id: str) -> None:
        """Mark a task that somebody has just asked for."""
        with self._lock:
            self._noticed.submitted.add(task_id)

    def take(self) -> Noticed:
        """Return the marks, but for the one on the whole workdir, and begin anew."""
        with self._lock:
            noticed, self._noticed = self._noticed, Noticed()
        return noticed

    def take_all(self) -> Source | None:
        """Return who asked for a look at the whole workdir, if anybody did since."""
        with self._lock:
            source, self._everything = self._everything, None
        return source
