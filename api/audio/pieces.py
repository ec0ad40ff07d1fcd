"""A transcript told piece by piece, in its own order, whatever the order in which its windows were finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.relay.messages import Progress, Window

SAMPLE_RATE = 16_000


class Pieces:
    """What has been told of one transcript. All pieces joined are its text."""

    def __init__(self) -> None:
        self._waiting: dict[int, Window] = {}  # finished, and one before them is not
        self._told_to = -1  # the sample where the last window that was told begins
        self._space = ""  # at the end of what was heard: told with the next word, if one comes
        self._told = 0  # characters

    def take(self, progress: Progress) -> Iterator[str]:
        """Take finished windows in; yield what can be told now, a piece for each segment."""
        fresh = {each.start: each for each in progress.windows if each.start > self._told_to}
        self._waiting |= fresh  # those told already come again after a stage was lost
        done_to = round(progress.position * SAMPLE_RATE)
        for start in sorted(start for start in self._waiting if start < done_to):
            self._told_to = start
            for segment in self._waiting.pop(start).segments:
                yield from self._tell(segment.text)

    def rest(self, text: str) -> Iterator[str]:
        """Yield what is left to be told of the whole text."""
        if len(text) > self._told:
            yield text[self._told :]

    def _tell(self, text: str) -> Iterator[str]:
        spaced = self._space + text if self._told else text.lstrip()
        piece = spaced.rstrip()
        self._space = spaced[len(piece) :]
        self._told += len(piece)
        if piece:
            yield piece
