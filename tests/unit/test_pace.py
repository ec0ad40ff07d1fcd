"""What goes on by itself makes pauses as long as somebody asks."""

import pytest

from pipeline.pace import LATELY_S, REST, REST_MAX_S, WORK_S, Pace, Precedence


class Bench:
    """A thread whose processor time and whose wall clock the test moves."""

    def __init__(self) -> None:
        self.now = self.worked = 0.0
        self.pauses: list[float] = []
        self.precedence = Precedence(lambda: self.now)
        self.pace = Pace(self.precedence, work=lambda: self.worked, rest=self.pauses.append)

    def work(self, seconds: float) -> None:
        self.worked += seconds
        self.pace.breathe()


def test_where_nobody_asks_there_is_no_pause() -> None:
    bench = Bench()
    bench.work(10.0)
    assert bench.pauses == []


def test_a_pause_is_in_proportion_to_the_work_before_it() -> None:
    bench = Bench()
    bench.precedence.asked()
    bench.work(0.01)
    bench.work(0.012)
    assert bench.pauses == pytest.approx([REST * 0.01, REST * 0.012])


def test_no_pause_is_long_however_much_was_done_at_once() -> None:
    bench = Bench()
    bench.precedence.asked()
    bench.work(10.0)
    assert bench.pauses == [REST_MAX_S]


def test_a_little_work_needs_no_pause_but_adds_up() -> None:
    bench = Bench()
    bench.precedence.asked()
    for _ in range(4):
        bench.work(WORK_S * 0.3)
    assert len(bench.pauses) == 1


def test_who_asked_a_while_ago_waits_no_more() -> None:
    bench = Bench()
    bench.precedence.asked()
    bench.now = LATELY_S + 0.01
    bench.work(1.0)
    assert bench.pauses == []


def test_items_come_through_whole_with_pauses_between() -> None:
    bench = Bench()
    bench.precedence.asked()
    seen = []
    for each in bench.pace.through("abc"):
        seen.append(each)
        bench.worked += 0.01
    assert (seen, len(bench.pauses)) == (["a", "b", "c"], 3)
