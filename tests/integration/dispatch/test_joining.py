from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import EnvironmentUnusableError, RelayUnsafeError
from pipeline.relay.messages import (
    VERSION,
    Bye,
    Error,
    Hello,
    Job,
    Pause,
    Ping,
    Pong,
    Ready,
    Result,
    ResultAck,
    Status,
    Welcome,
)
from pipeline.relay.sockets import Router
from pipeline.tasks import FileState
from tests.acceptance.harness import until

if TYPE_CHECKING:
    from tests.integration.dispatch.conftest import Bench, FakeStage


def test_a_stage_is_welcomed_with_the_epoch_and_the_model(
    bench: Bench, stages: Callable[..., FakeStage]
) -> None:
    """Hello is answered by Welcome, and the stage is shown."""
    stage = stages()
    stage.say(Hello(worker=stage.worker, version=VERSION, device="cpu", pid=1))
    expected = Welcome(epoch=bench.epoch, model="tiny", paused=False)
    assert expected == stage.hear(Welcome)
    assert [stage.worker] == [shown.worker for shown in bench.dispatch.stages]


def test_figures_of_a_stage_are_those_it_said_last(bench: Bench, stages: Callable[..., FakeStage]) -> None:
    """Taken back when it rests."""
    stage = stages()
    for figures in ({"device_busy": 0.9}, {}):
        stage.say(Status(phase="ready", detail="tiny", figures=figures))
        bench.until(lambda figures=figures: bench.dispatch.stages[0].figures == figures)


def test_an_unknown_worker_is_asked_to_introduce_itself(
    bench: Bench, stages: Callable[..., FakeStage]
) -> None:
    """A restarted core knows nobody."""
    stage = stages()
    stage.say(Bye())
    bench.until(lambda: not bench.dispatch.stages)
    stage.say(Ready(credit=1))
    assert stage.hear(Error).code == "rehello"


def test_another_version_is_refused_by_name(stages: Callable[..., FakeStage]) -> None:
    """The error says what to do."""
    stage = stages()
    stage.say(Hello(worker="old", version=VERSION + 1, device="cpu", pid=1))
    error = stage.hear(Error)
    assert error.code == "version"
    assert "same release" in error.message


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x80", b"x" * 1000])
def test_nonsense_is_answered_and_harms_nothing(stages: Callable[..., FakeStage], raw: bytes) -> None:
    """A message that cannot be decoded never raises out of step."""
    stage = stages()
    stage.say_raw(raw)
    assert stage.hear(Error).code == "malformed"


def test_a_message_meant_for_stages_is_refused(stages: Callable[..., FakeStage]) -> None:
    """The core takes only what stages may say."""
    stage = stages()
    stage.say(Pause(paused=True))
    assert stage.hear(Error).code == "malformed"


@pytest.mark.parametrize(
    "bind", ["tcp://0.0.0.0:0", "tcp://*:0", "tcp://192.0.2.1:5555", "ipc:///tmp/x", "nonsense"]
)
def test_the_relay_binds_to_loopback_only(bind: str) -> None:
    """Nothing is encrypted, so nothing leaves the machine."""
    with pytest.raises(RelayUnsafeError, match="loopback"):
        Router(bind)


def test_an_address_in_use_is_told_in_words(bench: Bench) -> None:
    """A second relay on the same port says which address."""
    with pytest.raises(EnvironmentUnusableError, match=r"in use.*|127\.0\.0\.1"):
        Router(bench.dispatch.endpoint)


def test_a_silent_stage_is_lost_and_its_file_is_tried_again_charged(bench: Bench, stage: FakeStage) -> None:
    """Four heartbeats without a word, and another stage may have the file at once."""
    file = bench.add()
    stage.take()
    began = bench.now
    while bench.dispatch.stages:
        bench.step(2.0)
    assert 8.0 <= bench.now - began <= 12.0
    assert bench.file(file).state is FileState.QUEUED
    assert bench.file(file).error.code == "worker_lost"
    assert bench.file(file).attempts == 1
    assert bench.dispatch.stages == []


def test_a_stage_whose_process_is_gone_is_lost_sooner(bench: Bench, stage: FakeStage) -> None:
    """A closed connection tells more than silence."""
    file = bench.add()
    stage.take()
    bench.step()
    identity = bench.dispatch._board.link_of(stage.worker).identity
    stage.close()
    until(lambda: not bench.dispatch._router.send(identity, Ping()))
    began = bench.now
    while bench.dispatch.stages:
        bench.step(1.0)
    assert bench.now - began <= 5.0
    assert bench.file(file).state is FileState.QUEUED


def test_the_second_stage_that_is_lost_with_a_file_costs_it_a_wait(
    bench: Bench, stages: Callable[..., FakeStage]
) -> None:
    """Perhaps it is the file."""
    file = bench.add()
    for expected in (FileState.QUEUED, FileState.RETRY_WAIT):
        stages(credit=1).take()
        while bench.dispatch.stages:
            bench.step(2.0)
        assert bench.file(file).state is expected


def test_a_stage_that_answers_pings_is_kept(bench: Bench, stage: FakeStage) -> None:
    """Any message counts as a sign of life."""
    file = bench.add()
    stage.take()
    for _ in range(8):
        bench.step(2.0)
        stage.say(Pong())
        bench.step()
    assert bench.file(file).state is FileState.LEASED


def test_a_core_that_was_stopped_blames_no_stage(bench: Bench, stage: FakeStage) -> None:
    """Silence while the core itself did not run is nobody's fault."""
    file = bench.add()
    stage.take()
    stage.say(Status(phase="ready"))
    bench.step()
    bench.step(600.0)
    assert bench.file(file).state is FileState.LEASED


def test_a_stage_that_leaves_gives_its_files_back_uncharged(bench: Bench, stage: FakeStage) -> None:
    """Bye is good order."""
    file = bench.add()
    stage.take()
    stage.say(Bye())
    bench.until(lambda: bench.file(file).state is FileState.QUEUED)
    assert bench.file(file).attempts == 0


def test_a_stage_that_reconnects_keeps_its_jobs(
    bench: Bench, stages: Callable[..., FakeStage], result: Callable[..., Result]
) -> None:
    """The same worker over a new connection goes on; its credit is counted anew."""
    file = bench.add()
    stage = stages(credit=1)
    job = stage.take()
    again = stages(worker=stage.worker)
    again.say(result(job))
    bench.until(lambda: bench.file(file).state is FileState.DONE)
    assert len(bench.dispatch.stages) == 1


def test_a_job_lost_on_the_way_counts_against_the_credit_after_a_reconnection(
    bench: Bench, stages: Callable[..., FakeStage]
) -> None:
    """A place that a lost job will fill is not given away twice."""
    bench.add("a.wav")
    first = stages(credit=1)
    lost = first.hear(Job)
    bench.add("b.wav")
    again = stages(credit=1, worker=first.worker)  # it never saw the job, so it offers its one place
    assert again.hears_no(Job, steps=4)
    bench.step(3.0)
    assert again.take().file_id == lost.file_id
    assert again.hears_no(Job, steps=3)


def test_leases_of_an_epoch_before_are_void(
    bench: Bench, stage: FakeStage, result: Callable[..., Result]
) -> None:
    """After a restart of the core the old token changes nothing."""
    file = bench.add()
    job = stage.take()
    bench.store.open_epoch()
    stage.say(result(job))
    assert stage.hear(ResultAck).outcome == "stale"
    assert bench.file(file).state is not FileState.DONE
    assert not (bench.root / "a.json").exists()
