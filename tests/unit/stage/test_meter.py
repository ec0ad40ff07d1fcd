"""Figures: what the counters say of the last half minute, and of a stretch of work as a whole."""

import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.stage.work.meter import Meter, Reading, figures


@dataclass
class Bench:
    """A device that is busy nine tenths of the time, three of its four slots full, at real-time factor 30."""

    said: list[dict[str, float]] = field(default_factory=list)
    now: float = 100.0
    worked: float = 0.0

    def __post_init__(self) -> None:
        self.meter = Meter(self.said.append)

    def read(self, now: float) -> Reading:
        steps = int(100 * self.worked)
        return Reading(
            at=now, busy=0.9 * self.worked, steps=steps, row_steps=3 * steps, windows=int(self.worked),
            audio=30 * self.worked, rows=4, waiting=60.0,
        )  # fmt: skip

    def run(self, seconds: int, *, at_work: bool = True) -> None:
        for _ in range(seconds):
            self.meter.step(self.now, self.read, at_work=at_work)
            self.now += 1
            self.worked += at_work


def test_figures_are_differences_of_counters() -> None:
    """Shares of time and slots, and rates."""
    bench = Bench()
    first = bench.read(5.0)
    bench.worked = 10.0
    assert figures(first, bench.read(15.0)) == {
        "device_busy": 0.9, "batch_fill": 0.75, "windows_per_second": 1.0, "real_time_factor": 30.0,
        "decoded_seconds_waiting": 60.0,
    }  # fmt: skip


def test_figures_are_said_while_there_is_work_and_taken_back_after_it() -> None:
    """Every few seconds; a device at rest has none."""
    bench = Bench()
    bench.run(21)
    assert [each["device_busy"] for each in bench.said] == [0.9] * 4
    bench.run(4, at_work=False)
    assert bench.said[4:] == [{}]


def test_figures_forget_what_is_older_than_half_a_minute() -> None:
    """An hour at work does not hide that the device has nothing to do now."""
    bench = Bench()
    bench.run(100)
    stands = bench.read(0.0)
    for _ in range(40):
        bench.meter.step(bench.now, lambda now: stands._replace(at=now), at_work=True)
        bench.now += 1
    assert bench.said[-1]["device_busy"] == 0.0


def test_the_log_has_a_line_a_minute_and_one_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """The last one is of the whole stretch of work."""
    bench = Bench()
    with caplog.at_level(logging.INFO):
        bench.run(80)
        bench.run(4, at_work=False)
    tail = "real-time factor 30, device busy 90 %, batch fill 75 %"
    assert caplog.messages == [
        f"transcribed 30 min of audio in 60 s: {tail}",
        f"transcribed 40 min of audio in 80 s: {tail}",
    ]


def test_a_short_lull_does_not_end_the_work(caplog: pytest.LogCaptureFixture) -> None:
    """A folder of short files is one stretch of work."""
    bench = Bench()
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            bench.run(3)
            bench.run(2, at_work=False)
        assert caplog.messages == []
        bench.run(4, at_work=False)
    assert len(caplog.messages) == 1


def test_work_without_audio_is_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """A file that is no recording."""
    meter: Any = Meter(lambda _figures: None)
    still = Bench().read
    with caplog.at_level(logging.INFO):
        for now, at_work in enumerate([True, True, False, False, False, False]):
            meter.step(float(now), still, at_work=at_work)
    assert caplog.messages == []


def test_another_model_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    """Its counters begin at 0: no figure is negative."""
    bench = Bench()
    with caplog.at_level(logging.INFO):
        bench.run(20)
        bench.worked = 0.0
        bench.run(20)
    assert min(min(each.values()) for each in bench.said if each) >= 0
    assert len(caplog.messages) == 1
