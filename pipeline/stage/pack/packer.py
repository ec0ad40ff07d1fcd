"""Packer: windows of all files in flight -> those that join the running batch now. Pure."""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.stage.pack.track import Cursor
    from pipeline.stage.transcribe.engine import Reply, Request

GROUP = 8  # an eighth of the slots joins at once, as every admission costs the decoder a step


class Row(NamedTuple):
    """One row of the running batch: a request, and where its reply belongs."""

    track: Cursor
    window: int
    request: Request

    def take(self, reply: Reply) -> None:
        """Hand the reply to the file it belongs to."""
        self.track.take(self.window, reply)


class Packer:
    """Lets windows of all files join in turn.

    Urgent files come before all others, in turn. Of the rest every other row goes to a file that has had none yet, the
    first come first; the others are the next in line, and whoever was served goes to its end. So a short file never
    waits for the ten-hour one before it, nor a long one for a stream of short ones.
    """

    def __init__(self) -> None:
        self._urgent: deque[Cursor] = deque()
        self._new: deque[Cursor] = deque()
        self._line: deque[Cursor] = deque()
        self._is_news_turn = True

    def add(self, track: Cursor, *, urgent: bool = False) -> None:
        """Let this track take part; one for which somebody waits before all others."""
        (self._urgent if urgent else self._new).append(track)

    def remove(self, track: Cursor) -> None:
        """Let this track out."""
        next(line for line in (self._urgent, self._new, self._line) if track in line).remove(track)

    def rows(self, free: int, slots: int, *, more_coming: bool, only_urgent: bool = False) -> list[Row]:
        """Return the rows to admit now into so many free slots; none while it is better to wait for a group.

        Nothing waits for a batch in which nothing runs, nor when all there is fits and nothing else is coming, nor
        what is urgent.
        """
        urgent = _filled(min(free, _ready(self._urgent)), self._next_urgent)
        free -= len(urgent)
        ready = _ready(self._new) + _ready(self._line)
        is_group = free >= max(1, slots // GROUP)
        is_rest = ready <= free and not more_coming
        goes = (is_group or is_rest) and not only_urgent
        return urgent + _filled(min(free, ready) if goes else 0, self._next)

    def _next_urgent(self) -> Cursor:
        track = next(each for each in self._urgent if each.ready)
        self._urgent.remove(track)
        self._urgent.append(track)
        return track

    def _next(self) -> Cursor:
        """Move the track whose turn it is to the end of the line, and return it."""
        first, second = (self._new, self._line) if self._is_news_turn else (self._line, self._new)
        track = next(each for each in chain(first, second) if each.ready)
        self.remove(track)
        self._line.append(track)
        self._is_news_turn = not self._is_news_turn
        return track


def _ready(line: Iterable[Cursor]) -> int:
    return sum(track.ready for track in line)


def _filled(count: int, choose: Callable[[], Cursor]) -> list[Row]:
    rows: list[Row] = []
    while len(rows) < count:
        track = choose()
        rows.append(Row(track, *track.offer()))
    return rows
