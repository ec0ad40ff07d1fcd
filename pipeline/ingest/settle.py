"""Is a file still being written? A class without threads; time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from pipeline.ingest.placing import around

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from pipeline.ingest.beneath import Look

MOVED_S = 0.3  # from the first look at a file moved in to the one that confirms it
CLOSED_S = 1.0  # after its writer closed it
LOOKS = 3


class Hint(Enum):
    """What an event said about how a file came to be."""

    MOVED = "moved"
    CLOSED = "closed"


@dataclass(slots=True)
class _Watched:
    look: Look
    since: float  # when it was first seen like this
    looks: int
    due: float
    hint: Hint | None


class Settle:
    """Decides when a file is no longer being written.

    A file is ready when its size, mtime, ctime and inode
    - are the same over at least 3 looks that span the quiet time, or
    - are the same in one look at least 0.3 s after the first, where an event said that it was moved in, or
    - are the same in one look at least 1 s after the first, where an event said that its writer closed it;
    and nobody has it open for writing, where that can be asked: a refused read lease vetoes all three, and the wait
    begins anew. Any change begins it anew as well, and takes the event's word away. It never gives up.
    With `looks` False one look is enough; the veto stands.
    """

    def __init__(self, quiet_seconds: float, *, looks: bool = True) -> None:
        self._quiet_s = quiet_seconds
        self._wait = looks
        self._watched: dict[bytes, _Watched] = {}
        self._hints: dict[bytes, Hint] = {}

    def closed(self, paths: Iterable[bytes]) -> None:
        """Take an event's word that the writers of these files closed them: it counts from the next look on."""
        for path in paths:
            self._hint(path, Hint.CLOSED)

    def moved(self, paths: Collection[bytes]) -> None:
        """Take an event's word that these were moved in; of a directory it is one on all in it.

        Also on what a scan saw there before the event was heard: it came with the directory.
        """
        for path in paths:
            self._hint(path, Hint.MOVED)
        for path, watched in self._watched.items() if paths else ():
            if not watched.hint and any(each in paths for each in around(path)):
                watched.hint, watched.due = Hint.MOVED, 0.0

    def keep(self, paths: Collection[bytes]) -> None:
        """Forget all files but these."""
        self._watched = {path: watched for path, watched in self._watched.items() if path in paths}

    def drop_hints(self) -> None:
        """Take no event's word any more for a file that was not looked at until now."""
        self._hints.clear()

    def is_due(self, path: bytes, now: float) -> bool:
        """Tell whether it is time to look at a file again."""
        return path not in self._watched or self._watched[path].due <= now

    def is_ready(self, path: bytes, look: Look, now: float, has_writer: Callable[[], bool | None]) -> bool:
        """Take in one look; tell whether the file is ready, and then forget it.

        `has_writer` is asked last, as it costs an open: None means that it cannot be told.
        """
        watched = self._seen(path, look, now)
        if not self._is_quiet(watched, now):
            return False
        if has_writer():
            self._watched[path] = self._begin(look, now, None)
            return False
        del self._watched[path]
        return True

    def _seen(self, path: bytes, look: Look, now: float) -> _Watched:
        hint = self._hint_for(path)
        watched = self._watched.get(path)
        if watched is None or watched.look != look or hint:
            watched = self._watched[path] = self._begin(look, now, hint)
        else:
            watched.looks += 1
            watched.due = now + self._pause(watched.hint)
        return watched

    def _hint(self, path: bytes, hint: Hint) -> None:
        self._hints[path] = hint
        if path in self._watched:
            self._watched[path].due = 0.0

    def _hint_for(self, path: bytes) -> Hint | None:
        """Return what was said of a file; else, at its first look, of a directory around it."""
        if path in self._hints or path in self._watched:
            return self._hints.pop(path, None)
        return next((self._hints[each] for each in around(path) if each in self._hints), None)

    def _begin(self, look: Look, now: float, hint: Hint | None) -> _Watched:
        return _Watched(look, now, 1, now + self._pause(hint), hint)

    def _pause(self, hint: Hint | None) -> float:
        rule = self._quiet_s / (LOOKS - 1)
        return min(rule, {Hint.MOVED: MOVED_S, Hint.CLOSED: CLOSED_S}[hint]) if hint else max(rule, MOVED_S)

    def _is_quiet(self, watched: _Watched, now: float) -> bool:
        waited = now - watched.since
        if not self._wait:
            return True
        if watched.looks > 1 and watched.hint is Hint.MOVED and waited >= MOVED_S:
            return True
        if watched.looks > 1 and watched.hint is Hint.CLOSED and waited >= CLOSED_S:
            return True
        return watched.looks >= LOOKS and waited >= self._quiet_s
