"""One device's worth of work, step by step: receive, decode, pack, transcribe, report. No torch by itself."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import EnvironmentUnusableError, PipelineError
from pipeline.relay.messages import Bye, Cancel, Drain, Job, Message, Pause, Ready, Status, Welcome
from pipeline.stage.decode.ffmpeg import ffmpeg_binary
from pipeline.stage.work.blame import Blame
from pipeline.stage.work.flight import failure, returned
from pipeline.stage.work.jobs import Jobs
from pipeline.stage.work.meter import Meter
from pipeline.stage.work.model import Model
from pipeline.tasks import display

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.spool import Roots
    from pipeline.stage.decode.ahead import Event
    from pipeline.stage.transcribe.load import Loader
    from pipeline.stage.work.flight import Flight
    from pipeline.stage.work.inbox import Channel, Inbox
    from pipeline.stage.work.meter import Reading

logger = logging.getLogger(__name__)

UNUSABLE = 3  # exit code: no model, no FFmpeg
POLL_S = 0.1  # between looks at who waits, where nothing arrives
IDLE_S = 1.0


class Stage:
    """One device's worth of work; `exit_code` is set when it is over."""

    def __init__(
        self, roots: Roots, loader: Loader, channel: Channel, inbox: Inbox, idle_seconds: float
    ) -> None:
        self._send = channel.send
        self._inbox = inbox
        self._idle_seconds = idle_seconds
        self._model = Model(loader, channel.send)
        self._blame = Blame(channel.send)
        self._jobs = Jobs(roots, loader, inbox, self._blame)
        self._meter = Meter(self._say_figures)
        self._default: str | None = None  # the model the core named
        self._paused = False
        self._worked_at: float | None = None
        self.exit_code: int | None = None

    def step(self, now: float) -> float:
        """Take what arrived, start what can, transcribe until a window ends, report; return how long to wait."""
        for item in self._inbox.take():
            self._take(item)
        if self.exit_code is not None or self._default is None:
            return IDLE_S
        self._start()
        is_running = self._fill() and self._may_work
        self._blame_those_aboard(is_running=is_running)
        self._meter.step(now, self._read, at_work=bool(self._jobs) and self._may_work)
        if is_running:
            self._transcribe()
        self._report(now)
        self._rest(now)
        if is_running:
            return 0.0
        return POLL_S if self._jobs else IDLE_S

    def close(self) -> None:
        """Let the model go, and with it the windows that wait for a core: the process would end after them."""
        self._model.unload()

    # ---- what arrives ----

    def _take(self, item: Message | tuple[Flight, Event] | None) -> None:
        if item is None:
            self.exit_code = 0 if self.exit_code is None else self.exit_code
        elif isinstance(item, tuple):
            self._follow(*item)
        else:
            self._hear(item)

    def _hear(self, message: Message) -> None:
        match message:
            case Job():
                self._jobs.add(message)
            case Cancel():
                self._jobs.drop(message.file_id)
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
        """Have the core's model ready; a core that restarted may find another one still at work."""
        self._default = model
        if self._jobs or self._model.name:
            return
        try:
            ffmpeg_binary()
            self._model.load(model)
        except PipelineError as error:
            self._give_up(error)

    def _drain(self) -> None:
        for job in self._jobs.every():
            self._send(returned(job))
            self._jobs.drop(job.file_id)
        self._send(Bye())
        self.exit_code = 0

    def _follow(self, flight: Flight, event: Event) -> None:
        """Take in what decoding found."""
        if self._jobs.is_in_flight(flight):  # else dropped meanwhile, and perhaps leased anew
            with self._alone(flight):
                self._jobs.advance(flight, event, self._model.engine)

    @contextmanager
    def _alone(self, flight: Flight) -> Iterator[None]:
        """Let a file fail alone: the fence around it."""
        try:
            yield
        except PipelineError as error:
            self._fail(flight, error)
        except Exception as error:
            about = {"file_id": flight.job.file_id}
            logger.exception("%s: failed", display(flight.job.path), extra=about)
            self._fail(flight, error)

    # ---- what starts ----

    def _start(self) -> None:
        for other in self._jobs.in_the_way(self._model.name):
            self._send(returned(other))
            self._jobs.drop(other.file_id)
        while job := self._jobs.next(self._model.name):
            try:
                self._model.load(job.options.model)
            except PipelineError as error:
                self._refuse(job, error)
            else:
                self._jobs.start(job, self._model.slots)

    def _refuse(self, job: Job, error: PipelineError) -> None:
        if job.options.model == self._default and isinstance(error, EnvironmentUnusableError):
            self._send(returned(job))
            self._give_up(error)
        else:
            self._send(failure(job, error))

    def _give_up(self, error: PipelineError) -> None:
        self._send(Status(phase="failed", detail=str(error)))
        self.exit_code = UNUSABLE

    # ---- what is transcribed ----

    def _fill(self) -> bool:
        """Let windows leave and join the running batch; tell whether there is anything in it."""
        if self._model.name is None:
            return False
        batch = self._model.batch
        if abandoned := self._jobs.abandoned():
            batch.drop(abandoned)
        batch.join(self._jobs.join(batch.free, batch.slots, only_urgent=self._paused))
        return batch.size > 0

    @property
    def _may_work(self) -> bool:
        """Whether the batch may run: a pause holds up all but what somebody waits for, and what runs beside that."""
        return not self._paused or self._jobs.is_urgent

    def _blame_those_aboard(self, *, is_running: bool) -> None:
        waits = [flight.expected for flight in self._jobs.flights.values()]
        aboard = self._jobs.aboard if is_running else []
        attempts = max((flight.attempts for flight in aboard), default=0)
        expected = max([self._model.batch.expected(attempts) if is_running else 0.0, *waits])
        self._blame.transcribing({flight.job.file_id for flight in aboard}, expected)

    def _transcribe(self) -> None:
        aboard = self._jobs.aboard
        began = time.monotonic()
        ended = self._model.batch.advance()
        share = (time.monotonic() - began) / len(aboard)
        for flight in aboard:
            flight.seconds += share
        for request, language in self._model.engine.detected():
            self._jobs.learn(request, language)
        for request, reply in ended:
            if owner := self._jobs.owner(request):  # else a window before this one made its file fail
                with self._alone(owner):
                    self._jobs.take(request, reply)
        if not self._jobs.aboard:
            self._blame.transcribed()

    # ---- what is said ----

    def _report(self, now: float) -> None:
        for flight in list(self._jobs.flights.values()):
            with self._alone(flight):
                self._tell(flight, now)
        if credit := self._jobs.grant(self._model.slots):
            self._send(Ready(credit=credit))

    def _tell(self, flight: Flight, now: float) -> None:
        if flight.finished:
            self._send(flight.result(self._model.engine))
            self._jobs.land(flight)
        elif progress := flight.progress(now):
            self._send(progress)

    def _read(self, now: float) -> Reading:
        return self._model.reading(now, audio=self._jobs.audio, waiting=self._jobs.waiting)

    def _say_figures(self, figures: dict[str, float]) -> None:
        if self._model.name:  # else it is idle, and has said so
            self._send(Status(phase="ready", detail=self._model.name, figures=figures))

    def _fail(self, flight: Flight, error: Exception) -> None:
        if self._jobs.is_in_flight(flight):  # else a window before this one ended it
            self._send(failure(flight.job, error))
            self._jobs.land(flight)

    def _rest(self, now: float) -> None:
        """Let the model leave the device after a while without a job."""
        if self._jobs or self._worked_at is None:
            self._worked_at = now
        elif self._model.name and 0 < self._idle_seconds <= now - self._worked_at:
            self._model.unload()
            self._send(Status(phase="idle", detail="no jobs"))
