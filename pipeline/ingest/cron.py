"""When to rescan: an interval, or crontab syntax with cron's own meaning (crontab(5)). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import BadOptionsError

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_HINT = "use an interval such as 30s or 5m, or five crontab fields such as '*/5 * * * *' or '0 2 * * mon-fri'"


@dataclass(frozen=True, slots=True)
class Interval:
    """Every so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cron:
    """The minutes that match, by field; days of the week count from Sunday = 0.

    Where day of month and day of week are both restricted (`either_day`), one of the two is enough.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool


def parse(schedule: str) -> Interval | Cron:
    """Read a schedule. Raises BadOptionsError, with an example, for one that has no meaning."""
    text = _MACROS.get(schedule.strip().lower(), schedule.strip().lower())
    interval = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text)
    if interval:
        return _interval(schedule, float(interval[1]) * _UNITS[interval[2]])
    fields = text.split()
    if len(fields) != 5:  # noqa: PLR2004 - crontab has five
        raise BadOptionsError(f"rescan_cron {schedule!r} is no schedule: {_HINT}")
    try:
        return _cron(fields)
    except ValueError as error:
        raise BadOptionsError(f"rescan_cron {schedule!r}: {error}; {_HINT}") from error


def _interval(schedule: str, seconds: float) -> Interval:
    if seconds < 1:
        raise BadOptionsError(f"rescan_cron {schedule!r} is under one second: {_HINT}")
    return Interval(seconds)


def _cron(fields: list[str]) -> Cron:
    minute, hour, day, month, weekday = fields
    return Cron(
        minutes=_field(minute, 0, 59),
        hours=_field(hour, 0, 23),
        days=_field(day, 1, 31),
        months=_field(month, 1, 12, _MONTHS, first=1),
        weekdays=tuple(sorted({value % 7 for value in _field(weekday.replace("-sun", "-7"), 0, 7, _DAYS)})),
        either_day=not day.startswith("*") and not weekday.startswith("*"),
    )


def _field(
    text: str, low: int, high: int, names: list[str] | None = None, *, first: int = 0
) -> tuple[int, ...]:
    """Read a list of values, ranges and steps into the values it means."""
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        start, dash, end = span.partition("-")
        if span == "*":
            bounds = low, high
        elif dash:
            bounds = _value(start, names, first), _value(end, names, first)
        else:
            value = _value(start, names, first)
            bounds = value, high if slash else value
        values.update(
            _steps(part, bounds, low, high, int(step) if slash and step.isdigit() else int(not slash))
        )
    return tuple(sorted(values))


def _steps(part: str, bounds: tuple[int, int], low: int, high: int, step: int) -> range:
    start, end = bounds
    if not (low <= start <= end <= high) or step < 1:
        raise ValueError(f"{part!r} is outside {low}-{high}")
    return range(start, end + 1, step)


def _value(text: str, names: list[str] | None, first: int) -> int:
    if names and text in names:
        return names.index(text) + first
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no value here")
    return int(text)
