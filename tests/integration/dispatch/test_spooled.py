"""Recordings that a client waits for: leased beyond the rest, told to the client, and committed nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from api.audio.spool import Spool
from pipeline.errors import UnavailableError
from pipeline.options import Options
from pipeline.relay.messages import Accept, Cancel, Fail, Job, Progress, Result, ResultAck, Status, Window
from pipeline.relay.offers import BEYOND
from pipeline.room import Room
from pipeline.spool import spooled_path
from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem

if TYPE_CHECKING:
    from tests.integration.dispatch.conftest import Bench, FakeStage

PATH = spooled_path("ab12")


class Client:
    """A call that keeps what it hears."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.result: tuple[Result, Options] | None = None
        self.problem: Problem | None = None

    def moved(self, progress: Progress) -> None:
        self.progress.append(progress)

    def done(self, result: Result, options: Options) -> None:
        self.result = (result, options)

    def failed(self, problem: Problem) -> None:
        self.problem = problem


@pytest.fixture
def client(bench: Bench) -> Client:
    """Queue a spooled recording and return who waits for it."""
    return admit(bench, PATH)


def admit(bench: Bench, path: bytes) -> Client:
    client = Client()
    bench.dispatch._calls.add(path, client)
    bench.store.admit(path, Fingerprint(7, 8), {"language": "fr"})
    bench.dispatch.look()
    return client


def only(bench: Bench) -> MediaFile:
    (job,) = bench.dispatch._board.jobs.values()
    file = bench.store.file(job.file.id)
    assert file is not None
    return file


def failed(job: Job, kind: str) -> Fail:
    return Fail(
        epoch=job.epoch, token=job.token, file_id=job.file_id, kind=kind, code="code", message="words"
    )  # type: ignore[arg-type]


def test_it_goes_to_a_stage_that_asked_for_nothing_more(
    bench: Bench, stages: Callable[..., FakeStage], client: Client
) -> None:
    """Files of hours may fill it; but only so many beyond what it asked for."""
    stage = stages()
    bench.add()
    assert (job := stage.take()).urgent
    assert (job.path, job.options.language, client.result) == (PATH, "fr", None)
    for number in range(BEYOND):
        admit(bench, spooled_path(f"more{number}"))
    for _ in range(BEYOND - 1):
        assert stage.take().urgent
    assert stage.hears_no(Job)


@pytest.mark.usefixtures("client")
def test_it_goes_before_what_waits(bench: Bench, stages: Callable[..., FakeStage]) -> None:
    bench.add()
    stage = stages(credit=1)
    assert stage.take().urgent
    assert not stage.heard or stage.hears_no(Job)


def test_it_goes_out_while_batch_work_is_paused(bench: Bench, stage: FakeStage) -> None:
    """And batch work does not."""
    bench.dispatch.pause("user")
    bench.add()
    assert stage.hears_no(Job)
    admit(bench, PATH)
    assert stage.take().path == PATH
    assert stage.hears_no(Job)


def test_its_client_hears_windows_and_the_whole(
    bench: Bench,
    stage: FakeStage,
    client: Client,
    window: Callable[..., Window],
    result: Callable[..., Result],
) -> None:
    """Nothing is committed, no event tells of it, and a stage that asks again is not told to do it again."""
    before = bench.store.changed_since(0)
    job = stage.take()
    moved = Progress(epoch=job.epoch, token=job.token, file_id=job.file_id, windows=(window(),), position=1.0)
    stage.say(moved)
    bench.until(lambda: bool(client.progress))
    stage.say(result(job))
    assert stage.hear(ResultAck).outcome == "committed"
    assert client.progress == [moved]
    assert client.result == (result(job), Options(model="tiny", language="fr"))
    assert [path.name for path in bench.root.iterdir()] == []
    assert bench.store.changed_since(0) == before
    bench.store.withdraw(PATH)
    stage.say(result(job))
    assert stage.hear(ResultAck).outcome == "stale"


@pytest.mark.parametrize("kind", ["permanent", "changed"])
def test_its_client_hears_that_it_failed_for_good(stage: FakeStage, client: Client, kind: str) -> None:
    """Nobody would look whether a spooled file that changed has settled."""
    stage.say(failed(stage.take(), kind))
    stage.hear(ResultAck)
    assert client.problem == Problem(code="code", message="words")


def test_what_passes_is_tried_again_and_not_told(bench: Bench, stage: FakeStage, client: Client) -> None:
    """A stage that cannot see the spool may not be the only one."""
    stage.say(failed(stage.take(), "gone"))
    stage.hear(ResultAck)
    assert client.problem is None
    assert len(bench.store.spooled()) == 1
    bench.step(10.0)
    assert stage.take().token == 2


def test_a_second_crash_is_told(stage: FakeStage, client: Client) -> None:
    stage.say(failed(stage.take(), "crash"))
    stage.hear(ResultAck)
    assert client.problem is None
    stage.say(failed(stage.take(), "crash"))
    stage.hear(ResultAck)
    assert client.problem == Problem(code="code", message="words")


def test_a_second_try_waits_neither_for_batch_work_nor_for_the_end_of_a_pause(
    bench: Bench, stage: FakeStage
) -> None:
    """Its stage lets nothing run beside it."""
    bench.add()
    assert not stage.take().urgent
    bench.dispatch.pause("user")
    client = admit(bench, PATH)
    stage.say(failed(stage.take(), "crash"))
    stage.hear(ResultAck)
    assert client.problem is None
    again = stage.take()
    assert (again.path, again.solo, again.urgent) == (PATH, True, True)


@pytest.mark.usefixtures("client")
def test_one_that_is_withdrawn_is_dropped_by_its_stage(bench: Bench, stage: FakeStage) -> None:
    job = stage.take()
    bench.step()
    assert only(bench).state is FileState.LEASED
    bench.dispatch.cancel(bench.store.withdraw(PATH))
    assert stage.hear(Cancel).file_id == job.file_id
    stage.say(Accept(epoch=job.epoch, token=job.token, file_id=job.file_id))
    assert stage.hear(Cancel).file_id == job.file_id


def test_a_stop_of_the_core_is_told_to_all(bench: Bench, client: Client) -> None:
    problem = Problem(code="unavailable", message="the service is stopping")
    bench.dispatch._calls.fail_all(problem)
    assert client.problem == problem


def test_nobody_waits_for_a_stage_that_has_given_up(
    bench: Bench, stage: FakeStage, client: Client, tmp_path: Path
) -> None:
    """No weights, no FFmpeg: who waits is told, and who comes is not taken in."""
    room = Room(kept_free=0)
    spool = Spool(tmp_path, bench.store, bench.dispatch._calls, bench.dispatch, room)
    stage.say(Status(phase="failed", detail="no weights"))
    bench.until(lambda: any(each.phase == "failed" for each in bench.dispatch.stages))
    spool.step(0.0)
    assert client.problem == Problem(code="unavailable", message="no weights")
    with pytest.raises(UnavailableError, match="no weights"):
        spool.admit(spool.begin(1), {}, client)
