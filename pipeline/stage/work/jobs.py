"""The jobs in a worker's hands: those that wait, those in flight, and how many more there is room for."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from pipeline.stage.decode.ahead import Ahead, Budget, Ended, Event, Opened
from pipeline.stage.decode.lanes import Lanes
from pipeline.stage.pack.cut import Clip
from pipeline.stage.pack.packer import Packer, Row
from pipeline.stage.work.flight import Flight

if TYPE_CHECKING:
    from pipeline.relay.messages import Job
    from pipeline.spool import Roots
    from pipeline.stage.transcribe.engine import Engine, Reply, Request
    from pipeline.stage.transcribe.load import Loader
    from pipeline.stage.work.blame import Blame
    from pipeline.stage.work.inbox import Inbox

AT_LEAST = 4  # jobs, however many windows wait: a short file may come beside long ones
AT_MOST = 64  # each may hold an FFmpeg process that waits for room


class Jobs:
    """Waiting jobs start in order, the urgent first, those of one model at a time, a suspect alone."""

    def __init__(self, roots: Roots, loader: Loader, inbox: Inbox, blame: Blame) -> None:
        self._roots = roots
        self._loader = loader
        self._inbox = inbox
        self._blame = blame
        self._waiting: deque[Job] = deque()
        self._packer = Packer()
        self._budget = Budget(1)
        self._lanes = Lanes(os.cpu_count() or 1)
        self._granted = 0  # credit that no job has used yet
        self._out: dict[int, tuple[Row, Flight]] = {}  # in the running batch, by the id of the request
        self._landed = 0.0  # seconds of audio that files which are no longer in flight had done
        self._abandoned: list[Request] = []  # that run, and whose file has been let go
        self.flights: dict[int, Flight] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting or self.flights)

    def add(self, job: Job) -> None:
        """Take a job that the core sent for some credit; it replaces an older lease of the same file."""
        self.drop(job.file_id)
        place = sum(each.urgent for each in self._waiting) if job.urgent else len(self._waiting)
        self._waiting.insert(place, job)
        self._granted -= 1

    def drop(self, file_id: int) -> None:
        """Let a file go, wherever it is."""
        self._waiting = deque(job for job in self._waiting if job.file_id != file_id)
        if file_id in self.flights:
            self.land(self.flights[file_id])

    def next(self, model: str | None) -> Job | None:
        """Return the job to start now, beside those in flight on this model; None to wait."""
        if not self._waiting:
            return None
        first = self._waiting[0]
        alone = first.solo or any(flight.job.solo for flight in self.flights.values())
        if self.flights and (alone or first.options.model != model):
            return None
        return self._waiting.popleft()

    def in_the_way(self, model: str | None) -> list[Job]:
        """Return the jobs in flight for which an urgent job should not wait: one of another model, or a suspect."""
        first = self._waiting[0] if self._waiting else None
        waits = first and first.urgent and (first.solo or first.options.model != model)
        return [flight.job for flight in self.flights.values() if not flight.job.urgent] if waits else []

    @property
    def is_urgent(self) -> bool:
        """Whether somebody waits for a file in flight."""
        return any(flight.job.urgent for flight in self.flights.values())

    def every(self) -> list[Job]:
        """Return all jobs, those in flight first."""
        return [*(flight.job for flight in self.flights.values()), *self._waiting]

    def start(self, job: Job, slots: int) -> None:
        """Begin to decode a file."""
        self._budget.capacity = 2 * slots
        root, path = self._roots.place(job.path)
        ahead = Ahead(
            msgspec.structs.replace(job, path=path),
            root=root,
            make_voice=None if job.options.no_vad else self._loader.voice,
            budget=self._budget,
            lanes=self._lanes,
            blame=self._blame,
            post=lambda event: self._inbox.put((flight, event)),
        )
        flight = self.flights[job.file_id] = Flight(job, ahead)
        ahead.start()

    def is_in_flight(self, flight: Flight) -> bool:
        """Tell whether this lease of its file is the one in flight."""
        return self.flights.get(flight.job.file_id) is flight

    def advance(self, flight: Flight, event: Event, engine: Engine) -> None:
        """Take in what decoding found; raises what it failed with."""
        match event:
            case Opened():
                self._packer.add(flight.open(event, engine), urgent=flight.job.urgent)
            case Clip():
                if not flight.feed(event):
                    self._budget.give(flight.job.file_id)
            case Ended():
                flight.end(event)
            case _:
                raise event.error

    def join(self, free: int, slots: int, *, only_urgent: bool) -> list[Request]:
        """Return the windows that join the running batch now."""
        coming = any(flight.ahead.working for flight in self.flights.values())
        rows = self._packer.rows(free, slots, more_coming=coming, only_urgent=only_urgent)
        owners = {id(flight.track): flight for flight in self.flights.values()} if rows else {}
        self._out |= {id(row.request): (row, owners[id(row.track)]) for row in rows}
        return [row.request for row in rows]

    @property
    def aboard(self) -> list[Flight]:
        """The files with windows in the running batch, once for each of these."""
        return [flight for _, flight in self._out.values()]

    def abandoned(self) -> list[Request]:
        """Return the windows that may leave the running batch: their files have been let go."""
        abandoned, self._abandoned = self._abandoned, []
        return abandoned

    def owner(self, request: Request) -> Flight | None:
        """Return the file in flight that a window in the running batch belongs to."""
        _, flight = self._out.get(id(request), (None, None))
        return flight

    def learn(self, request: Request, language: str) -> None:
        """Tell a file its language, as heard in one of its windows in the running batch."""
        if id(request) in self._out:  # else its file has been let go
            self._out[id(request)][0].track.learn(language)

    def take(self, request: Request, reply: Reply | Exception) -> None:
        """Give a reply to the file it belongs to; raises what was wrong with the window."""
        row, flight = self._out.pop(id(request))
        if isinstance(reply, Exception):
            raise reply
        held = row.track.held
        row.take(reply)
        if row.track.held < held:
            self._budget.give(flight.job.file_id, held - row.track.held)
            flight.decoded.pop(row.window, None)

    def land(self, flight: Flight) -> None:
        """Let a file in flight go, whatever became of it."""
        self._landed += flight.done
        flight.close()
        if flight.track:
            self._packer.remove(flight.track)
        del self.flights[flight.job.file_id]
        left = {key: row.request for key, (row, owner) in self._out.items() if owner is flight}
        self._abandoned += left.values()
        for key in left:
            del self._out[key]

    @property
    def audio(self) -> float:
        """Seconds of audio done so far, those of files that have gone since included."""
        return self._landed + sum(flight.done for flight in self.flights.values())

    @property
    def waiting(self) -> float:
        """Seconds of audio that lie decoded in memory and have not joined the running batch."""
        decoded = sum(sum(flight.decoded.values()) for flight in self.flights.values())
        return decoded - sum(flight.decoded.get(row.window, 0.0) for row, flight in self._out.values())

    def grant(self, slots: int) -> int:
        """Return how many jobs to ask for: two batches' worth of windows, counting those that wait already."""
        windows = sum(max(1, flight.track.held if flight.track else 0) for flight in self.flights.values())
        count = len(self._waiting) + len(self.flights)
        room = min(2 * slots, AT_MOST) - windows - len(self._waiting)
        credit = max(0, max(room, AT_LEAST - count) - self._granted)
        self._granted += credit
        return credit
