"""Packer: windows of all files in flight -> batches. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipeline.stage.pack.track import Cursor
    from pipeline.stage.transcribe.engine import Reply, Request

PATIENCE_S = 2.0  # that a partial batch waits for windows about to come


class Row(NamedTuple):
    """One row of a batch: a request, and where its reply belongs."""

    track: Cursor
    window: int
    request: Request

    def take(self, reply: Reply) -> None:
        """Hand the reply to the file it belongs to."""
        self.track.take(self.window, reply)


class Packer:
    """Fills batches from the tracks in turn.

    Oldest first, but whoever was served goes to the end of the line: a short file waits for one batch at most,
    not for the ten-hour file before it.
    """

    def __init__(self) -> None:
        self._line: deque[Cursor] = deque()
        self._waiting_since: float | None = None

    def add(self, track: Cursor) -> None:
        """Let this track take part."""
        self._line.append(track)

    def remove(self, track: Cursor) -> None:
        """Let this track out."""
        self._line.remove(track)

    def batch(self, now: float, size: int, *, more_coming: bool) -> list[Row]:
        """Return the rows of the next batch; none while it is better to wait for a fuller one."""
        ready = sum(track.ready for track in self._line)
        if not ready:
            self._waiting_since = None
            return []
        if self._waiting_since is None:
            self._waiting_since = now
        if ready < size and more_coming and now - self._waiting_since < PATIENCE_S:
            return []
        self._waiting_since = None
        return self._fill(min(size, ready))

    def _fill(self, size: int) -> list[Row]:
        rows: list[Row] = []
        while len(rows) < size:
            track = self._next()
            rows.append(Row(track, *track.offer()))
        return rows

    def _next(self) -> Cursor:
        """Move the first track that can offer something to the end of the line, and return it."""
        track = next(each for each in self._line if each.ready)
        self._line.remove(track)
        self._line.append(track)
        return track
