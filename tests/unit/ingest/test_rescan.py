"""Schedules mean what crontab(5) says, and a scan never crowds out the work."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadOptionsError
from pipeline.ingest import cron
from pipeline.ingest.intake import Scan
from pipeline.ingest.rescan import Rescan, trigger_for
from pipeline.tasks import Source


def firings(schedule: str, start: datetime, count: int) -> Any:
    """Return the next times a schedule fires after a moment (in UTC, whatever the machine's zone)."""
    trigger = trigger_for(schedule)
    for each in getattr(trigger, "triggers", [trigger]):
        each.timezone = UTC
    found, now = [], start
    for _ in range(count):
        now = trigger.get_next_fire_time(None, now + timedelta(seconds=1))
        found.append(now)
    return found


MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("sunday", ["0", "7", "sun", "SUN"])
def test_sunday_is_zero_and_seven(sunday: str) -> None:
    """APScheduler's 0 is Monday."""
    (first,) = firings(f"0 3 * * {sunday}", MONDAY, 1)
    assert first == datetime(2026, 6, 7, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "expected"),
    [("1-5", [2, 3, 4, 5, 8]), ("fri-sun", [5, 6, 7, 12, 13]), ("6,0", [6, 7, 13, 14, 20])],
)
def test_days_of_the_week(days: str, expected: list[int]) -> None:
    """Ranges, lists and names."""
    assert [each.day for each in firings(f"0 0 * * {days}", MONDAY, 5)] == expected


def test_two_restricted_days_mean_either() -> None:
    """crontab(5): the command runs when either field matches."""
    assert [each.day for each in firings("0 0 13 * fri", MONDAY, 5)] == [5, 12, 13, 19, 26]


def test_a_star_in_a_day_field_means_both() -> None:
    """A field that begins with a star does not restrict."""
    assert [each.day for each in firings("0 0 */10 * *", MONDAY, 3)] == [11, 21, 1]


def test_steps_months_and_macros() -> None:
    """The rest of the syntax."""
    assert [each.minute for each in firings("*/20 * * * *", MONDAY, 3)] == [20, 40, 0]
    assert [each.minute for each in firings("5-59/25 * * * *", MONDAY, 3)] == [5, 30, 55]
    assert firings("0 0 1 jan,mar *", MONDAY, 1) == [datetime(2027, 1, 1, tzinfo=UTC)]
    assert firings("@daily", MONDAY, 1) == [datetime(2026, 6, 2, tzinfo=UTC)]
    assert firings("@hourly", MONDAY, 1) == [datetime(2026, 6, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), ("300", 300), ("1.5m", 90)]
)
def test_an_interval_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    """Seconds where none is given."""
    assert cron.parse(text) == cron.Interval(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "often",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "@never",
        "0s",
        "-5m",
        "* * * * mo",
        "1,,2 * * * *",
        "*/x * * * *",
    ],
)
def test_a_schedule_without_meaning_is_refused_with_an_example(text: str) -> None:
    """Nobody has to guess."""
    with pytest.raises(BadOptionsError, match="5m"):
        cron.parse(text)


@given(st.text(alphabet="0123456789*,-/ smhdjanfri@", max_size=24))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    """In our words."""
    try:
        cron.parse(text)
    except BadOptionsError:
        return


class Looker:
    """Stands for an Intake: counts the scans asked of it."""

    def __init__(self) -> None:
        self.last_scan = None
        self.scans = 0

    def notice_all(self, source: Source) -> None:
        assert source is Source.RESCAN
        self.scans += 1


@pytest.fixture
def looker() -> Any:
    return Looker()


def test_a_scan_waits_twenty_times_the_length_of_the_last_one(looker: Looker) -> None:
    """A share that takes 2 s is scanned every 40 s at most; a request does not wait."""
    rescan = Rescan(looker, "1s", wall=lambda: 0.0)
    looker.last_scan = Scan(ended=100.0, seconds=2.0)
    rescan._due.set()
    rescan.step(139.0)
    assert looker.scans == 0
    rescan.request()
    rescan.step(139.5)
    assert looker.scans == 1
    rescan._due.set()
    rescan.step(140.0)
    assert looker.scans == 2


def test_a_wall_clock_that_was_set_causes_a_scan(looker: Looker) -> None:
    """A scheduler that waits for yesterday's tomorrow would miss a day."""
    walls = iter([1000.0, 1001.0, 1002.0 - 86400])
    rescan = Rescan(looker, "60s", wall=lambda: next(walls))
    rescan._scheduler.start(paused=True)
    for now in (0.0, 1.0, 2.0):
        rescan.step(now)
    assert looker.scans == 1
    rescan.stop()


def test_the_job_sets_a_flag_only(looker: Looker) -> None:
    """The scheduler's thread does no work."""
    rescan = Rescan(looker, "1s")
    rescan.start()
    assert looker.scans == 0
    rescan.step(0.0)
    rescan.stop()
    assert looker.scans == 1
