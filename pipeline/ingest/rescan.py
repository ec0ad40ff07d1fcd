"""Looks at the whole workdir from time to time, by APScheduler: what no event told of is found all the same."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from pipeline.ingest import cron
from pipeline.ingest.cron import Cron, Interval
from pipeline.tasks import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from apscheduler.triggers.base import BaseTrigger

    from pipeline.ingest.intake import Intake, Scan

STEP_S = 0.5
REST = 20  # a scheduled scan comes no sooner than so many times the length of the last one
JUMP_S = 30.0  # the wall clock was set when it moved so much more or less than time went by


class Rescan:
    """Has Intake look at everything at start, when the schedule says so (in local time, as cron), and on request.

    The scheduler's job only sets a flag. It waits by the wall clock: when that is set, the schedule is laid anew.
    """

    def __init__(self, intake: Intake, schedule: str, *, wall: Callable[[], float] = time.time) -> None:
        self._intake = intake
        self._trigger = trigger_for(schedule)
        self._wall = wall
        self._ahead: float | None = None  # of the wall clock, to the monotonic one
        self._due = threading.Event()
        self._asked = threading.Event()
        self._scheduler = BackgroundScheduler(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._job = self._scheduler.add_job(self._due.set, self._trigger)

    @property
    def last(self) -> Scan | None:
        """When the last scan ended (monotonic seconds) and how long it took."""
        return self._intake.last_scan

    def start(self) -> None:
        """Start the schedule, with a scan now."""
        self._scheduler.start()
        self.request()

    def stop(self) -> None:
        """Stop the schedule."""
        self._scheduler.shutdown(wait=False)

    def request(self) -> None:
        """Scan as soon as possible."""
        self._asked.set()

    def step(self, now: float) -> float:
        """Begin a scan that is asked for or due; return in how many seconds to come again."""
        self._follow_clock(now)
        if self._asked.is_set() or (self._due.is_set() and self._is_rested(now)):
            self._asked.clear()
            self._due.clear()
            self._intake.notice_all(Source.RESCAN)
        return STEP_S

    def _is_rested(self, now: float) -> bool:
        return self.last is None or now - self.last.ended >= REST * self.last.seconds

    def _follow_clock(self, now: float) -> None:
        ahead = self._wall() - now
        if self._ahead is not None and abs(ahead - self._ahead) > JUMP_S:
            self._job.reschedule(self._trigger)
            self._due.set()
        self._ahead = ahead


def trigger_for(schedule: str) -> BaseTrigger:
    """Return what fires by a schedule. Raises BadOptionsError."""
    parsed = cron.parse(schedule)
    if isinstance(parsed, Interval):
        return IntervalTrigger(seconds=parsed.seconds)
    if not parsed.either_day:
        return _cron_trigger(parsed, days=parsed.days, weekdays=parsed.weekdays)
    by_day = _cron_trigger(parsed, days=parsed.days, weekdays=range(7))
    return OrTrigger([by_day, _cron_trigger(parsed, days=range(1, 32), weekdays=parsed.weekdays)])


def _cron_trigger(parsed: Cron, *, days: Sequence[int], weekdays: Sequence[int]) -> CronTrigger:
    """Make one of APScheduler's, whose days of the week count from Monday."""
    return CronTrigger(
        minute=_listed(parsed.minutes),
        hour=_listed(parsed.hours),
        day=_listed(days),
        month=_listed(parsed.months),
        day_of_week=_listed((weekday - 1) % 7 for weekday in weekdays),
    )


def _listed(values: Iterable[int]) -> str:
    return ",".join(map(str, values))
