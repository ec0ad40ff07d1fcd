"""Who waits for a spooled recording, and hears of it while it is transcribed: what came of it goes nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pipeline.tasks import FAILURES

if TYPE_CHECKING:
    from pipeline.options import Options
    from pipeline.relay.messages import Progress, Result
    from pipeline.tasks import MediaFile, Problem


class Call(Protocol):
    """One that waits; told from the relay's thread."""

    def moved(self, progress: Progress) -> None:
        """Hear which windows are finished."""
        ...

    def done(self, result: Result, options: Options) -> None:
        """Hear the whole, and with which options it was made."""
        ...

    def failed(self, problem: Problem) -> None:
        """Hear that nothing will come of it."""
        ...


class Calls:
    """The calls by the path of their recording. A result for which nobody waits any more is let go."""

    def __init__(self) -> None:
        self._calls: dict[bytes, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, path: bytes) -> bool:
        return path in self._calls

    def add(self, path: bytes, call: Call) -> None:
        """Tell this call of this recording."""
        self._calls[path] = call

    def remove(self, path: bytes) -> None:
        """Nobody waits for this recording any more."""
        self._calls.pop(path, None)

    def moved(self, path: bytes, progress: Progress) -> None:
        """Pass on what a stage has finished."""
        if call := self._calls.get(path):
            call.moved(progress)

    def done(self, path: bytes, result: Result, options: Options) -> None:
        """Pass on what a stage heard."""
        if call := self._calls.get(path):
            call.done(result, options)

    def look(self, file: MediaFile | None) -> None:
        """Pass on that a file has failed for good, if it has."""
        if file and file.state in FAILURES and file.error and (call := self._calls.get(file.path)):
            call.failed(file.error)

    def fail_all(self, problem: Problem) -> None:
        """Have all hear that nothing will come of it."""
        for call in list(self._calls.values()):
            call.failed(problem)
