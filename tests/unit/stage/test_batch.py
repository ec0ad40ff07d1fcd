"""The running batch: nothing is lost, what fails fails alone, short memory means fewer windows."""

import logging
import time
from typing import Any

import numpy as np
import pytest

from pipeline.options import Options
from pipeline.stage.pack.cut import to_float
from pipeline.stage.transcribe import fake
from pipeline.stage.transcribe.engine import OutOfMemory, Request
from pipeline.stage.work.batch import TELLING, Batch


class Scripted(fake.FakeEngine):
    """Has memory for so many windows, and fails in a step that a marked window takes part in."""

    def __init__(self, slots: int = 8, memory: int = 99) -> None:
        super().__init__("base")
        self.slots = slots
        self.memory = memory
        self.admissions: list[int] = []

    def admit(self, requests: Any) -> None:
        self.admissions.append(len(requests))
        if self.running + len(requests) > self.memory:
            self._running.clear()
            raise OutOfMemory("full")
        self._running += requests

    def advance(self) -> Any:
        if any(fake._order(each.pcm) == fake.FAILURE for each in self._running):
            self._running.clear()
            raise RuntimeError("a step failed")
        return super().advance()


def windows(count: int, *orders: int) -> list[Request]:
    plain = [np.full(100, number, np.int16) for number in range(count)]
    every = [*(fake.marked(order) for order in orders), *plain]
    return [Request(pcm=to_float(pcm), options=Options(), language=None, temperature=0.0) for pcm in every]


def batch(engine: Any, *, on_gpu: bool = False) -> Batch:
    return Batch(engine, guess=0.0, on_gpu=on_gpu)


def run(made: Batch, requests: list[Request]) -> dict[int, Any]:
    """Let these in as there is room, and return how each of them ended."""
    waiting, ends = list(requests), {}
    while waiting or made.size:
        joining, waiting = waiting[: made.free], waiting[made.free :]
        made.join(joining)
        for request, reply in made.advance():
            assert id(request) not in ends
            ends[id(request)] = reply
    return {number: ends[id(each)] for number, each in enumerate(requests)}


def said(ends: dict[int, Any]) -> list[Any]:
    return [each if isinstance(each, Exception) else each.segments[0].text[1:] for each in ends.values()]


def expected(requests: list[Request]) -> list[str]:
    return [fake.words(each.pcm) for each in requests]


def test_every_window_ends_once_with_its_own_reply() -> None:
    """However many there are for the slots."""
    requests = windows(20)
    assert said(run(batch(Scripted()), requests)) == expected(requests)


def test_what_a_window_takes_is_counted_until_one_ends() -> None:
    """Moments in which none did included."""

    class Slow(Scripted):
        def advance(self) -> Any:
            time.sleep(0.02)
            self.effort.steps += 1
            return [] if self.effort.steps % 5 else super().advance()

    made, requests = batch(Slow()), windows(TELLING)
    run(made, requests)
    assert made.ended == TELLING
    assert made.expected(attempts=1) > 5 * 0.02 / (TELLING + 1)


def test_a_window_that_cannot_be_admitted_fails_alone() -> None:
    """Those beside it end, and those that ran before go on."""
    engine = fake.FakeEngine("base")
    made = batch(engine)
    first, *others = windows(2)
    made.join([first])
    made._admit(made._next())
    bad, beside = windows(0, fake.FAILURE)[0], others[0]
    made.join([bad, beside])
    ends = [end for _ in range(3) for end in made.advance()]
    assert [each is request for (each, _), request in zip(ends, [bad, first, beside], strict=True)] == [
        True
    ] * 3
    assert [isinstance(reply, RuntimeError) for _, reply in ends] == [True, False, False]


def test_a_window_that_fails_while_it_is_decoded_fails_alone() -> None:
    """Nobody else can join while it is being found."""
    made, requests = batch(Scripted(slots=8)), windows(3, fake.FAILURE)
    made.join(requests)
    assert made.advance() == []
    assert (made.free, made.size) == (0, 4)
    ends = dict(enumerate(reply for _ in range(4) for _, reply in made.advance()))
    assert isinstance(said(ends)[0], RuntimeError)
    assert said(ends)[1:] == expected(requests[1:])
    assert made.free == 8


def test_others_join_again_when_the_suspects_have_been_let_go() -> None:
    """The first failure ends its file, and with it the windows that were to be tried after it."""
    made, requests = batch(Scripted(slots=8)), windows(2, fake.FAILURE)
    made.join(requests)
    made.advance()
    ((failed, _),) = made.advance()
    assert failed is requests[0]
    made.drop(requests[1:])
    assert (made.size, made.free) == (0, 8)


def test_short_memory_is_forgiven_once() -> None:
    """The host may have been short of it for a moment only."""
    engine = Scripted(slots=8, memory=7)
    made, requests = batch(engine), windows(8)
    made.join(requests)
    assert made.advance() == []
    engine.memory = 8
    ends = [reply.segments[0].text[1:] for _ in range(8) for _, reply in made.advance()]
    assert ends == expected(requests)
    assert (made.slots, engine.admissions) == (8, [8, 8])


def test_short_memory_that_stays_means_fewer_windows(caplog: pytest.LogCaptureFixture) -> None:
    """Halved until they fit, remembered, told; and every window is done."""
    made, requests = batch(Scripted(slots=8, memory=3)), windows(20)
    with caplog.at_level(logging.WARNING):
        assert said(run(made, requests)) == expected(requests)
    assert (made.slots, made.free) == (2, 2)
    assert caplog.messages == [
        "out of memory: 4 windows side by side from now on",
        "out of memory: 2 windows side by side from now on",
    ]


def test_memory_that_runs_out_again_and_again_is_not_forgiven_again_and_again() -> None:
    """Whatever ends in between: work that is thrown away each time would never end."""

    class Leaking(Scripted):
        def advance(self) -> Any:
            if self.effort.steps % 2 and self.running > 4:
                self.effort.steps += 1
                self._running.clear()
                raise OutOfMemory("full")
            return super().advance()

    engine = Leaking(slots=8)
    made, requests = batch(engine), windows(24)
    assert said(run(made, requests)) == expected(requests)
    assert made.slots == 4


def test_a_window_too_large_for_the_memory_fails_alone() -> None:
    """Its file is tried again another time; the next window may fit."""
    engine = Scripted(slots=4, memory=0)
    made = batch(engine)
    (request,) = windows(1)
    assert isinstance(run(made, [request])[0], OutOfMemory)
    engine.memory = 4
    assert said(run(made, [request])) == expected([request])


def test_a_failing_gpu_ends_the_process() -> None:
    """Only a new one can use it again."""
    made = batch(Scripted(), on_gpu=True)
    made.join(windows(1, fake.FAILURE))
    with pytest.raises(RuntimeError, match="a step failed"):
        made.advance()


def test_windows_of_a_cancelled_file_leave_at_once() -> None:
    """Those that run leave the engine, those that wait are not begun."""
    engine = Scripted(slots=4, memory=3)
    made, requests = batch(engine), windows(4)
    made.join(requests[:3])
    made.advance()
    made.drop(requests[1:2])
    assert (engine.running, made.size) == (1, 1)
    made.join(requests[3:])
    made.drop(requests[3:])
    assert [request is requests[2] for request, _ in made.advance()] == [True]
    assert made.size == 0


def test_memory_that_runs_out_as_windows_leave_has_the_others_begin_again() -> None:
    """The engine has let all go by then; nothing that stays is lost."""

    class Short(Scripted):
        def drop(self, requests: Any) -> None:
            if self._running:
                self._running.clear()
                raise OutOfMemory(f"full: {len(requests)} cannot leave")

    made, requests = batch(Short(slots=4)), windows(3)
    made.join(requests)
    made.advance()
    made.drop(requests[1:2])
    assert made.size == 1
    ((request, reply),) = made.advance()
    assert (request is requests[2], reply.segments[0].text[1:]) == (True, fake.words(request.pcm))


def test_the_more_windows_the_longer_one_may_take() -> None:
    """Until some were measured a guess, as the first may be short; the supervisor waits for three times that."""
    made = Batch(Scripted(), guess=30.0, on_gpu=False)
    made.join(windows(4))
    assert made.expected(6) == 150.0
    made.advance()
    assert made.expected(6) == 30.0 * (made.size + 1)
    run(made, windows(TELLING))
    assert made.expected(6) < 1.0


def test_a_window_alone_is_expected_to_take_what_the_one_before_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one that takes longer than 40 seconds and is decoded twice would be taken for a hang."""
    made, (first, second) = batch(Scripted()), windows(2)
    clock = iter([0.0, 50.0])
    monkeypatch.setattr("pipeline.stage.work.batch.time.monotonic", lambda: next(clock))
    made.join([first])
    made.advance()
    made.join([second])
    assert made.expected(1) == 50.0
    assert made.expected(6) == 300.0
