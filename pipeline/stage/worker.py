"""The killable child: receives jobs, decodes ahead, packs, transcribes, reports. No torch by itself."""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import EnvironmentUnusableError, PipelineError
from pipeline.relay.messages import Busy, Bye, Cancel, Drain, Job, Message, Pause, Ready, Status, Welcome
from pipeline.stage.ahead import Ahead, Budget, Ended, Event, Failed, Opened
from pipeline.stage.ffmpeg import ffmpeg_binary
from pipeline.stage.flight import Flight, failure, returned
from pipeline.stage.inbox import Channel, Inbox
from pipeline.stage.model import Model
from pipeline.stage.pack import Packer, Row
from pipeline.stage.transcribe.load import Loader

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

UNUSABLE = 3  # exit code: no model, no FFmpeg
AT_LEAST = 4  # jobs in hand, however many windows wait: a short file may come beside long ones
AT_MOST = 64  # FFmpeg processes may wait for room
POLL_S = 1.0
_PR_SET_PDEATHSIG = 1


class Stage:
    """One device's worth of work; `exit_code` is set when it is over."""

    def __init__(
        self, root: bytes, loader: Loader, channel: Channel, inbox: Inbox, idle_seconds: float
    ) -> None:
        self._root = root
        self._loader = loader
        self._channel = channel
        self._inbox = inbox
        self._idle_seconds = idle_seconds
        self._model = Model(loader, channel.send)
        self._packer = Packer()
        self._budget = Budget(1)
        self._lanes = threading.Semaphore(os.cpu_count() or 1)
        self._waiting: deque[Job] = deque()
        self._flights: dict[int, Flight] = {}
        self._default: str | None = None  # the model the core named
        self._paused = False
        self._credit = 0  # granted and not yet used
        self._busy: tuple[int, ...] = ()
        self._worked_at: float | None = None
        self.exit_code: int | None = None

    def step(self, now: float) -> float:
        """Take what arrived, start what can start, transcribe one batch, report; return how long to wait."""
        for item in self._inbox.take():
            self._take(item)
        if self.exit_code is not None or self._default is None:
            return POLL_S
        self._start()
        rows = [] if self._paused else self._next_batch(now)
        self._blame(rows)
        if rows:
            self._transcribe(rows)
        self._report(now)
        self._rest(now)
        return 0.0 if rows else self._pause_length()

    # ---- what arrives ----

    def _take(self, item: Message | tuple[int, Event] | None) -> None:
        if item is None:
            self.exit_code = self.exit_code or 0
        elif isinstance(item, tuple):
            self._follow(*item)
        else:
            self._hear(item)

    def _hear(self, message: Message) -> None:
        match message:
            case Job():
                self._drop(message)  # an older lease of the same file
                self._waiting.append(message)
                self._credit -= 1
            case Cancel():
                self._drop(message)
            case Pause():
                self._paused = message.paused
            case Welcome():
                self._paused = message.paused
                self._welcome(message.model)
            case Drain():
                self._drain()
            case _:
                logger.warning("%s is not for a worker", type(message).__name__)

    def _welcome(self, model: str) -> None:
        self._default = model
        if self._flights or self._model.name:
            return
        try:
            ffmpeg_binary()
            self._load(model)
        except PipelineError as error:
            self._channel.send(Status(phase="failed", detail=str(error)))
            self.exit_code = UNUSABLE

    def _drop(self, message: Job | Cancel) -> None:
        self._waiting = deque(job for job in self._waiting if job.file_id != message.file_id)
        if message.file_id in self._flights:
            self._land(self._flights[message.file_id])

    def _drain(self) -> None:
        for job in [*(flight.job for flight in self._flights.values()), *self._waiting]:
            self._channel.send(returned(job))
        for flight in list(self._flights.values()):
            self._land(flight)
        self._channel.send(Bye())
        self.exit_code = 0

    def _follow(self, file_id: int, event: Event) -> None:
        """Take in what decoding found; the fence around one file."""
        flight = self._flights.get(file_id)
        if flight is None:
            return  # dropped meanwhile
        try:
            self._advance(flight, event)
        except Exception as error:
            logger.exception("%s: failed", flight.job.path)
            self._fail(flight, error)

    def _advance(self, flight: Flight, event: Event) -> None:
        match event:
            case Opened():
                self._packer.add(flight.open(event, self._model.engine))
            case Ended():
                flight.end(event)
            case Failed():
                self._fail(flight, event.error)
            case _:
                if not flight.feed(event):
                    self._budget.give(flight.job.file_id)

    # ---- what starts ----

    def _start(self) -> None:
        """Start the jobs whose turn it is: in order, one model at a time, a suspect alone."""
        while self._waiting and self._may_start(self._waiting[0]):
            job = self._waiting.popleft()
            try:
                self._load(job.options.model)
            except PipelineError as error:
                self._refuse(job, error)
                continue
            self._launch(job)

    def _may_start(self, job: Job) -> bool:
        if not self._flights:
            return True
        suspect = job.solo or any(flight.job.solo for flight in self._flights.values())
        return job.options.model == self._model.name and not suspect

    def _launch(self, job: Job) -> None:
        ahead = Ahead(
            job,
            root=self._root,
            make_voice=None if job.options.no_vad else self._loader.voice,
            budget=self._budget,
            lanes=self._lanes,
            post=lambda event: self._inbox.put((job.file_id, event)),
        )
        self._flights[job.file_id] = Flight(job, ahead)
        ahead.start()

    def _load(self, model: str) -> None:
        self._model.load(model)
        self._budget.capacity = 2 * self._model.batch_size

    def _refuse(self, job: Job, error: PipelineError) -> None:
        if job.options.model == self._default and isinstance(error, EnvironmentUnusableError):
            self._channel.send(Status(phase="failed", detail=str(error)))
            self._channel.send(returned(job))
            self.exit_code = UNUSABLE
        else:
            self._channel.send(failure(job, error))

    # ---- what is transcribed ----

    def _next_batch(self, now: float) -> list[Row]:
        coming = any(flight.ahead.working for flight in self._flights.values())
        return self._packer.batch(now, self._model.batch_size, more_coming=coming)

    def _blame(self, rows: list[Row]) -> None:
        """Tell the supervisor whose windows are on the device, before they can do harm."""
        owners = self._owners()
        files = tuple(sorted({owners[id(row.track)].job.file_id for row in rows}))
        if files or self._busy:
            self._channel.send(Busy(file_ids=files, expected=self._model.expected(len(rows))))
        self._busy = files

    def _owners(self) -> dict[int, Flight]:
        return {id(flight.track): flight for flight in self._flights.values() if flight.track}

    def _transcribe(self, rows: list[Row]) -> None:
        owners = self._owners()
        began = time.monotonic()
        replies = self._model.transcribe([row.request for row in rows])
        share = (time.monotonic() - began) / len(rows)
        for row, reply in zip(rows, replies, strict=True):
            flight = owners[id(row.track)]
            if isinstance(reply, Exception):
                self._fail(flight, reply)
            elif flight.job.file_id in self._flights:
                flight.seconds += share
                held = row.track.held
                row.take(reply)
                self._budget.give(flight.job.file_id, held - row.track.held)

    # ---- what is said ----

    def _report(self, now: float) -> None:
        for flight in list(self._flights.values()):
            if flight.finished:
                self._channel.send(flight.result(self._model.engine))
                self._land(flight)
            elif progress := flight.progress(now):
                self._channel.send(progress)
        self._ask()

    def _ask(self) -> None:
        """Ask for as many jobs as fill two batches, counting windows that wait already."""
        wanted = min(2 * self._model.batch_size, AT_MOST)
        jobs = len(self._waiting) + len(self._flights)
        windows = sum(max(1, flight.track.held if flight.track else 0) for flight in self._flights.values())
        credit = max(wanted - windows - len(self._waiting), AT_LEAST - jobs) - self._credit
        if credit > 0:
            self._credit += credit
            self._channel.send(Ready(credit=credit))

    def _fail(self, flight: Flight, error: Exception) -> None:
        if self._flights.get(flight.job.file_id) is flight:
            self._channel.send(failure(flight.job, error))
            self._land(flight)

    def _land(self, flight: Flight) -> None:
        """Let a job go, whatever became of it."""
        flight.close()
        if flight.track:
            self._packer.remove(flight.track)
        del self._flights[flight.job.file_id]

    def _rest(self, now: float) -> None:
        """Let the model leave the device after a while without a job."""
        if self._flights or self._waiting or self._worked_at is None:
            self._worked_at = now
        elif self._model.name and 0 < self._idle_seconds <= now - self._worked_at:
            self._model.unload()
            self._channel.send(Status(phase="idle", detail="no jobs"))

    def _pause_length(self) -> float:
        return POLL_S if not self._flights else POLL_S / 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker until it is told to drain or its channel ends."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.stage.worker")
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--idle_seconds", type=float, default=300.0)
    parser.add_argument("--engine", choices=["whisper", "fake"], default="whisper")
    chosen, _ = parser.parse_known_args(arguments)  # the supervisor passes its own flags on
    _die_with_supervisor()
    inbox = Inbox()
    channel = Channel(Connection(chosen.channel), inbox)
    loader = Loader(
        kind=chosen.engine,
        cache=chosen.cache,
        device=chosen.device,
        dtype=chosen.dtype,
        threads=chosen.threads,
    )
    stage = Stage(os.fsencode(chosen.workdir), loader, channel, inbox, chosen.idle_seconds)
    channel.start()
    while stage.exit_code is None:
        inbox.wait(stage.step(time.monotonic()))
    return stage.exit_code


def _die_with_supervisor() -> None:
    """Ask the kernel (Linux) to kill this process with the one that started it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
