from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.options import Options
from pipeline.relay.messages import (
    Accept,
    Cancel,
    Drain,
    Fail,
    Job,
    Pause,
    Ping,
    Pong,
    Progress,
    Ready,
    Status,
    Window,
)
from pipeline.tasks import FileState

if TYPE_CHECKING:
    from tests.integration.dispatch.conftest import Bench, FakeStage


def fail(job: Job, kind: str, code: str = "code", message: str = "message") -> Fail:
    return Fail(epoch=job.epoch, token=job.token, file_id=job.file_id, kind=kind, code=code, message=message)


def progress(job: Job, **values: object) -> Progress:
    return Progress(epoch=job.epoch, token=job.token, file_id=job.file_id, **values)


def test_no_more_jobs_go_out_than_a_stage_has_places(bench: Bench, stages: Callable[..., FakeStage]) -> None:
    """Credit is spent by jobs and adds up."""
    for number in range(3):
        bench.add(f"{number}.wav")
    stage = stages(credit=1)
    stage.take()
    assert stage.hears_no(Job)
    stage.say(Ready(credit=1))
    stage.take()
    assert stage.hears_no(Job)


def test_a_job_names_the_source_and_its_merged_options(bench: Bench, stage: FakeStage) -> None:
    """What was named beats the service's defaults."""
    file = bench.add(options={"language": "fr"})
    job = stage.take()
    assert (job.path, job.size, job.mtime_ns) == (file.path, file.fingerprint.size, file.fingerprint.mtime_ns)
    assert Options(model="tiny", language="fr") == job.options
    assert job.resume == ()


def test_finished_windows_come_back_with_the_next_lease(
    bench: Bench, stage: FakeStage, window: Callable[..., Window]
) -> None:
    """A crash costs one batch, not the file."""
    bench.add()
    job = stage.take()
    done = (window(0), window(16_000))
    stage.say(progress(job, windows=done[1:], position=2.0), progress(job, windows=done[:1], position=2.0))
    stage.say(fail(job, "returned"))
    assert done == stage.take().resume


def test_windows_made_with_other_options_do_not_come_back(
    bench: Bench, stage: FakeStage, window: Callable[..., Window]
) -> None:
    """Another language is another text."""
    file = bench.add()
    job = stage.take()
    stage.say(progress(job, windows=(window(),), position=1.0))
    bench.until(lambda: bench.file(file).position == 1.0)
    stage.say(fail(job, "returned"))
    bench.until(lambda: bench.file(file).state is FileState.QUEUED or bench.file(file).token > 1)
    bench.dispatch._offers._defaults = Options(model="base")
    stage.say(fail(stage.take(), "returned"))
    assert stage.take().resume == ()


def test_progress_moves_position_duration_and_language(
    bench: Bench, stage: FakeStage, window: Callable[..., Window]
) -> None:
    """What monitoring shows follows the stage."""
    file = bench.add()
    job = stage.take()
    stage.say(progress(job, windows=(window(),), position=12.5, duration=60.0, language="fr"))
    bench.until(lambda: bench.file(file).position == 12.5)
    assert (bench.file(file).duration, bench.file(file).language) == (60.0, "fr")


def test_a_job_that_is_not_accepted_is_sent_again(bench: Bench, stage: FakeStage) -> None:
    """A job lost on the way is not lost for long."""
    bench.add()
    first = stage.hear(Job)
    bench.step(3.0)
    assert first == stage.hear(Job)
    stage.say(Accept(epoch=first.epoch, token=first.token, file_id=first.file_id))
    bench.step()
    assert stage.hears_no(Job, steps=12)


def test_progress_renews_and_its_absence_ends_a_lease(
    bench: Bench, stage: FakeStage, window: Callable[..., Window]
) -> None:
    """A stage that is alive but stands still loses its files beyond what its supervisor allows."""
    file = bench.add()
    job = stage.take()
    stage.say(Status(phase="ready"), Pong(patience=10.0))
    for number in range(12):  # 48 s with progress
        stage.say(progress(job, windows=(window(number * 16_000),), position=float(number)))
        bench.step(4.0)
    assert bench.file(file).state is FileState.LEASED
    began = bench.now
    while bench.file(file).state is FileState.LEASED:
        stage.say(Pong(patience=10.0))
        bench.step(2.0)
    assert 38.0 <= bench.now - began <= 46.0
    assert bench.file(file).state is FileState.RETRY_WAIT
    assert bench.file(file).error.code == "stalled"
    assert stage.hear(Cancel).file_id == file.id


def test_loading_and_pausing_are_no_standstill(bench: Bench, stage: FakeStage) -> None:
    """Only a stage that could move is expected to."""
    file = bench.add()
    stage.take()
    for _ in range(30):
        stage.say(Status(phase="loading", fraction=0.5))
        bench.step(4.0)
    bench.dispatch.pause("user")
    for _ in range(30):
        stage.say(Status(phase="ready"))
        bench.step(4.0)
    assert bench.file(file).state is FileState.LEASED


def test_a_suspect_runs_alone(bench: Bench, stage: FakeStage) -> None:
    """A file that killed the child once is given to a stage that holds nothing, and nothing is put beside it."""
    suspect = bench.add("suspect.wav")
    stage.say(fail(stage.take(), "crash"))
    bench.until(lambda: bench.file(suspect).crashes == 1)
    bench.add("good.wav")
    job = stage.take()
    assert (job.file_id, job.solo) == (suspect.id, True)
    stage.say(Ready(credit=4))
    assert stage.hears_no(Job)
    stage.say(fail(job, "permanent"))
    assert stage.take().path == b"good.wav"


def test_a_suspect_waits_for_a_stage_that_is_at_work(bench: Bench, stage: FakeStage) -> None:
    """It is not put beside others either."""
    others = [bench.add("a.wav"), bench.add("b.wav")]
    jobs = [stage.take(), stage.take()]
    stage.say(fail(jobs[0], "crash"))
    bench.until(lambda: bench.file(others[0]).crashes == 1)
    assert stage.hears_no(Job)
    stage.say(fail(jobs[1], "permanent"))
    assert stage.take().file_id == others[0].id


def test_a_suspect_has_its_turn_in_a_steady_stream(bench: Bench, stage: FakeStage) -> None:
    """The stage gets nothing else until it is empty, however much waits."""
    suspect = bench.add("suspect.wav")
    stage.say(fail(stage.take(), "crash"))
    busy = bench.add("busy.wav", priority=1)
    bench.until(lambda: bench.file(suspect).crashes == 1)
    jobs = [stage.take()]
    while jobs[-1].file_id != suspect.id:
        bench.add(f"more{len(jobs)}.wav", priority=1)
        assert len(jobs) < 4, "others went first for ever"
        stage.say(fail(jobs[-1], "permanent"), Ready(credit=1))
        jobs.append(stage.take())
    assert bench.file(busy).state is not FileState.LEASED


def test_the_second_crash_quarantines(bench: Bench, stage: FakeStage) -> None:
    """And the others go on."""
    file = bench.add()
    for _ in range(2):
        stage.say(fail(stage.take(), "crash"))
    bench.until(lambda: bench.file(file).state is FileState.QUARANTINED)
    bench.add("next.wav")
    assert stage.take().path == b"next.wav"


def test_two_stages_share_what_there_is(bench: Bench, stages: Callable[..., FakeStage]) -> None:
    """Neither empties the queue before the other is asked."""
    bench.dispatch.pause("user")
    bench.step()
    pair = [stages(credit=4), stages(credit=4)]
    bench.step(0.1)
    for number in range(4):
        bench.add(f"{number}.wav")
    bench.dispatch.resume("user")
    for stage, _ in itertools.product(pair, range(2)):
        stage.take()


def test_pausing_stops_leases_and_stages_until_every_reason_is_gone(bench: Bench, stage: FakeStage) -> None:
    """Work hours and a user may pause at once."""
    bench.dispatch.pause("user")
    bench.dispatch.pause("work_hours")
    assert stage.hear(Pause).paused
    bench.add()
    bench.dispatch.resume("user")
    assert stage.hears_no(Job)
    assert bench.dispatch.paused == ["work_hours"]
    bench.dispatch.resume("work_hours")
    assert not stage.hear(Pause).paused
    stage.take()


def test_a_cancelled_file_is_dropped_by_its_stage(bench: Bench, stage: FakeStage) -> None:
    """The queue cancels, the relay tells."""
    file = bench.add()
    job = stage.take()
    _, leased = bench.store.cancel(file.task_id)
    bench.dispatch.cancel(leased)
    assert stage.hear(Cancel).token == job.token
    stage.say(progress(job, position=1.0))
    stage.hear(Cancel)
    assert bench.file(file).state is FileState.CANCELLED


def test_a_file_cancelled_behind_our_back_is_dropped_at_its_next_progress(
    bench: Bench, stage: FakeStage, window: Callable[..., Window]
) -> None:
    """The database's guard decides."""
    file = bench.add()
    job = stage.take()
    bench.store.cancel(file.task_id)
    stage.say(progress(job, windows=(window(),), position=1.0))
    assert stage.hear(Cancel).file_id == file.id


def test_draining_takes_everything_back_uncharged(bench: Bench, stage: FakeStage) -> None:
    """Nothing is leased any more, and `drained` tells when no lease is out."""
    file = bench.add()
    job = stage.take()
    bench.dispatch.drain()
    stage.hear(Drain)
    assert not bench.dispatch.drained
    stage.say(fail(job, "returned"))
    bench.until(lambda: bench.dispatch.drained)
    assert (bench.file(file).state, bench.file(file).attempts) == (FileState.QUEUED, 0)
    stage.say(Ready(credit=4))
    assert stage.hears_no(Job)


def test_what_a_drain_leaves_is_released(bench: Bench, stage: FakeStage) -> None:
    """A stage that does not answer cannot hold the shutdown."""
    file = bench.add()
    stage.take()
    bench.dispatch.drain()
    stage.hear(Drain)
    bench.dispatch.release_all()
    assert (bench.file(file).state, bench.file(file).attempts) == (FileState.QUEUED, 0)


def test_stages_are_pinged(stage: FakeStage) -> None:
    """Every two seconds."""
    stage.hears_no(Job)
    assert any(isinstance(message, Ping) for message in stage.heard)
