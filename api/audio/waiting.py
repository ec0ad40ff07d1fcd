"""A client that waits for its recording: told by the relay in its thread, read in the server's loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.audio.errors import UnusableAudioError
from pipeline import errors
from pipeline.errors import UnavailableError
from pipeline.tasks import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.options import Options
    from pipeline.relay.messages import Progress, Result

THEIRS = frozenset(  # what a recording itself brings about; "crashed" and "stalled" are how a stage blames one
    {
        errors.EmptyFileError.code, errors.NotMediaError.code, errors.NoAudioError.code, errors.CorruptError.code,
        errors.TooLongError.code, errors.MediaError.code, "crashed", "stalled",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heard:
    """All that a stage heard, and the options that it was made with."""

    result: Result
    options: Options


class Waiting:
    """One client; a `Call` of the relay."""

    def __init__(self, name: str, filename: str) -> None:
        """`name` is the recording's in the spool, `filename` what its client calls it."""
        self._name = name
        self._filename = filename
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[Progress | Heard | Problem] = asyncio.Queue()

    # ---- the relay's thread ----

    def moved(self, progress: Progress) -> None:
        """Hear which windows are finished."""
        self._tell(progress)

    def done(self, result: Result, options: Options) -> None:
        """Hear the whole."""
        self._tell(Heard(result, options))

    def failed(self, problem: Problem) -> None:
        """Hear that nothing will come of it."""
        self._tell(problem)

    def _tell(self, news: Progress | Heard | Problem) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has gone, and its clients with it
            self._loop.call_soon_threadsafe(self._news.put_nowait, news)

    # ---- the server's loop ----

    async def news(self) -> AsyncIterator[Progress | Heard]:
        """Yield what is told, the whole last. Raises UnusableAudioError, UnavailableError."""
        while True:
            news = await self._news.get()
            if isinstance(news, Problem):
                raise self._error(news)
            yield news
            if isinstance(news, Heard):
                return

    async def whole(self) -> Heard:
        """Return the whole. Raises as `news`."""
        async for news in self.news():
            if isinstance(news, Heard):
                return news
        raise AssertionError("news end with the whole")

    def _error(self, problem: Problem) -> UnusableAudioError | UnavailableError:
        message = problem.message.replace(self._name, self._filename)
        return UnusableAudioError(message) if problem.code in THEIRS else UnavailableError(message)
