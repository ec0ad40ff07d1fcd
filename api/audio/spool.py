"""The spool: recordings that clients sent and wait for, beside the queue; none is left when its client has gone."""

from __future__ import annotations

import errno
import logging
import os
import secrets
from typing import IO, TYPE_CHECKING, Any

from pipeline.errors import UnavailableError, UsageError
from pipeline.spool import FOLDER, PREFIX, spooled_path
from pipeline.tasks import Fingerprint, Problem, display

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.queue.store import TaskStore
    from pipeline.relay.calls import Call, Calls
    from pipeline.relay.dispatch import Dispatch
    from pipeline.room import Room

logger = logging.getLogger(__name__)

LOOK_S = 10.0


class Recording:
    """One recording on its way into the spool; a `Sink` of a multipart body."""

    def __init__(self, folder: Path, room: Room) -> None:
        self.name = secrets.token_hex(16)
        self.filename: str | None = None  # as the client calls it; None until it came
        self.path = folder / self.name
        self._room = room
        self._file: IO[bytes] | None = None

    def begin(self, filename: bytes) -> None:
        """Begin the one file of the form. Raises UsageError for a second one, UnavailableError."""
        if self.filename is not None:
            raise UsageError("send one file")
        self.filename = display(filename.rpartition(b"/")[2]) or "file"
        try:
            self._file = self.path.open("xb")
        except OSError as error:
            raise _not_now(error) from error

    def write(self, data: bytes) -> None:
        """Store the next piece. Raises UnavailableError where there is no room."""
        assert self._file, "begin() comes first"  # noqa: S101 - the parser's promise
        try:
            self._room.require(self._file.fileno(), len(data))
            self._file.write(data)
        except OSError as error:
            raise _not_now(error) from error

    def end(self) -> None:
        """All of the file is there."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            try:
                self._file.close()
            except OSError as error:
                raise _not_now(error) from error

    @property
    def fingerprint(self) -> Fingerprint:
        """What the stage will see."""
        found = self.path.stat()
        return Fingerprint(found.st_size, found.st_mtime_ns)


class Spool:
    """Takes recordings in, queues them, and sees that nothing of them stays; one runs in each core."""

    def __init__(self, folder: Path, store: TaskStore, calls: Calls, dispatch: Dispatch, room: Room) -> None:
        """`folder` is the queue's."""
        self._folder = folder / FOLDER
        self._store = store
        self._calls = calls
        self._dispatch = dispatch
        self._room = room
        self._here: set[str] = set()  # the names of those whose clients are here

    def begin(self, coming: int) -> Recording:
        """Return a recording of about so many bytes that is to come; whoever asked for it releases it.

        Raises UnavailableError where there is no room for it.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._room.require(os.fsencode(self._folder), coming)
        except OSError as error:
            raise _not_now(error) from error
        recording = Recording(self._folder, self._room)
        self._here.add(recording.name)
        return recording

    def admit(self, recording: Recording, options: Mapping[str, Any], call: Call) -> None:
        """Have a recording transcribed before all batch work, and `call` told of it. Raises UnavailableError."""
        if trouble := self._trouble():
            raise UnavailableError(trouble)
        path = spooled_path(recording.name)
        self._calls.add(path, call)
        self._store.admit(path, recording.fingerprint, options)
        self._dispatch.look()

    def release(self, recording: Recording) -> None:
        """Let go of a recording, however far it has come: nobody waits for it any more."""
        self._calls.remove(spooled_path(recording.name))
        try:
            recording.close()
        finally:
            self._remove(recording.name)
            self._here.discard(recording.name)

    def _remove(self, name: str) -> None:
        path = spooled_path(name)
        try:
            self._dispatch.cancel(self._store.withdraw(path))
            (self._folder / name).unlink(missing_ok=True)
        except (UnavailableError, OSError) as error:
            logger.warning("a recording stays in the spool for now: %s", error)

    def step(self, _now: float) -> float:
        """Sweep, tell those who would wait in vain, and come again soon."""
        self.sweep()
        if trouble := self._trouble():
            self._fail_all(trouble)
        return LOOK_S

    def sweep(self) -> None:
        """Remove what nobody waits for: left by an earlier life of the core, or by a release that failed."""
        for name in self._left():
            self._remove(name)

    def close(self) -> None:
        """Tell all who wait that the service stops."""
        self._fail_all("the service is stopping")

    def _fail_all(self, trouble: str) -> None:
        self._calls.fail_all(Problem(code=UnavailableError.code, message=trouble))

    def _trouble(self) -> str | None:
        """Return why nothing can be transcribed, where every stage has given up."""
        stages = self._dispatch.stages
        hopeless = stages and all(stage.phase == "failed" for stage in stages)
        return stages[0].detail if hopeless else None

    def _left(self) -> set[str]:
        queued = {path.removeprefix(PREFIX).decode() for path in self._store.spooled()}
        stored = {path.name for path in self._folder.glob("*")}
        return (queued | stored) - self._here


def _not_now(error: OSError) -> UnavailableError:
    """Return what a disk that takes no more means for a client."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return UnavailableError("the disk is full" if full else f"the spool cannot be written: {error.strerror}")
