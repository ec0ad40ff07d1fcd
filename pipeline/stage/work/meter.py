"""What the device makes of its time: figures of the last half minute for whoever asks, and lines for the log."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

READ_EVERY_S = 1.0
SPAN_S = 30.0  # of the figures
SAY_EVERY_S = 5.0
LOG_EVERY_S = 60.0
LULL_S = 2.0  # without work, until it counts as ended


class Reading(NamedTuple):
    """Where the counters stand; all but `rows` and `waiting` only grow."""

    at: float
    busy: float  # seconds inside the engine
    steps: int  # of the decoder
    row_steps: int  # windows that took part in them
    windows: int  # that ended, once for each temperature
    audio: float  # seconds of the files that are done
    rows: int  # side by side
    waiting: float  # seconds that are decoded and not yet admitted


class Meter:
    """Reads the counters while there is work."""

    def __init__(self, say: Callable[[dict[str, float]], None]) -> None:
        self._say = say
        self._recent: deque[Reading] = deque()
        self._began: Reading | None = None  # this stretch of work
        self._logged: Reading | None = None
        self._said_at: float | None = None
        self._was_at_work = False

    def step(self, now: float, read: Callable[[float], Reading], *, at_work: bool) -> None:
        """Read the counters if it is time, once more when work stops; sum up when it has not gone on."""
        since = now - self._recent[-1].at if self._recent else float("inf")
        is_due = since >= READ_EVERY_S if at_work else self._was_at_work
        if is_due:
            self._take(read(now))
        elif not at_work and self._recent and since >= LULL_S:
            self._end()
        self._was_at_work = at_work

    def _take(self, reading: Reading) -> None:
        if self._recent and reading.steps < self._recent[-1].steps:
            self._end()  # another model, whose counters begin at 0
        self._recent.append(reading)
        while reading.at - self._recent[0].at > SPAN_S:
            self._recent.popleft()
        self._began = self._began or reading
        self._logged = self._logged or reading
        if reading.at - (self._said_at or self._began.at) >= SAY_EVERY_S:
            self._say(figures(self._recent[0], reading))
            self._said_at = reading.at
        if reading.at - self._logged.at >= LOG_EVERY_S:
            logger.info("%s", summary(self._logged, reading))
            self._logged = reading

    def _end(self) -> None:
        """Sum up the work that is over; its figures are not those of the device at rest."""
        last = self._recent[-1]
        if self._began and last.audio > self._began.audio:
            logger.info("%s", summary(self._began, last))
        if self._said_at is not None:
            self._say({})
        self._recent.clear()
        self._began = self._logged = self._said_at = None


def figures(first: Reading, last: Reading) -> dict[str, float]:
    """Return what happened between two readings, as /readyz names it."""
    seconds = (last.at - first.at) or 1.0
    row_steps, full = last.row_steps - first.row_steps, (last.steps - first.steps) * last.rows
    return {
        "device_busy": round((last.busy - first.busy) / seconds, 3),
        "batch_fill": round(row_steps / full, 3) if full else 0.0,
        "windows_per_second": round((last.windows - first.windows) / seconds, 2),
        "real_time_factor": round((last.audio - first.audio) / seconds, 1),
        "decoded_seconds_waiting": round(last.waiting, 1),
    }


def summary(first: Reading, last: Reading) -> str:
    """Return the same as a line for the log."""
    made = figures(first, last)
    return (
        f"transcribed {_span(last.audio - first.audio)} of audio in {_span(last.at - first.at)}: "
        f"real-time factor {made['real_time_factor']:.0f}, device busy {100 * made['device_busy']:.0f} %, "
        f"batch fill {100 * made['batch_fill']:.0f} %"
    )


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - as people say it
