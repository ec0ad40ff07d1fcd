"""The jobs in a worker's hands: those that wait, those in flight, and how many more there is room for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.relay.messages import Job
    from pipeline.stage.flight import Flight

AT_LEAST = 4  # jobs, however many windows wait: a short file may come beside long ones
AT_MOST = 64  # each may hold an FFmpeg process that waits for room


class Jobs:
    """Waiting jobs start in order, those of one model at a time, a suspect alone."""

    def __init__(self) -> None:
        self.waiting: deque[Job] = deque()
        self.flights: dict[int, Flight] = {}
        self._granted = 0  # credit that no job has used yet

    def __bool__(self) -> bool:
        return bool(self.waiting or self.flights)

    def add(self, job: Job) -> None:
        """Take a job that the core sent for some credit."""
        self.waiting.append(job)
        self._granted -= 1

    def forget(self, file_id: int) -> None:
        """Drop the file from those that wait."""
        self.waiting = deque(job for job in self.waiting if job.file_id != file_id)

    def next(self, model: str | None) -> Job | None:
        """Return the job to start now, beside those in flight on this model; None to wait."""
        if not self.waiting:
            return None
        first = self.waiting[0]
        alone = first.solo or any(flight.job.solo for flight in self.flights.values())
        if self.flights and (alone or first.options.model != model):
            return None
        return self.waiting.popleft()

    def every(self) -> list[Job]:
        """Return all jobs, those in flight first."""
        return [*(flight.job for flight in self.flights.values()), *self.waiting]

    def grant(self, batch_size: int) -> int:
        """Return how many jobs to ask for: two batches' worth of windows, counting those that wait already."""
        windows = sum(max(1, flight.track.held if flight.track else 0) for flight in self.flights.values())
        count = len(self.waiting) + len(self.flights)
        room = min(2 * batch_size, AT_MOST) - windows - len(self.waiting)
        credit = max(0, max(room, AT_LEAST - count) - self._granted)
        self._granted += credit
        return credit
