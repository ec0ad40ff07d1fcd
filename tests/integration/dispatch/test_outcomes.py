from __future__ import annotations

import errno
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import OutputsUnwritableError, UnavailableError
from pipeline.relay.commit import Prepared
from pipeline.relay.messages import Fail, Job, Pong, Progress, Ready, Result, ResultAck, Window
from pipeline.tasks import FileState, Fingerprint, Problem

if TYPE_CHECKING:
    from tests.integration.dispatch.conftest import Bench, FakeStage


def fail(job: Job, kind: str, code: str = "code", message: str = "message") -> Fail:
    return Fail(epoch=job.epoch, token=job.token, file_id=job.file_id, kind=kind, code=code, message=message)


def test_a_result_becomes_files_and_is_acknowledged(
    bench: Bench, stage: FakeStage, result: Callable[..., Result]
) -> None:
    """Done means the JSON lies there."""
    file = bench.add()
    stage.say(result(stage.take()))
    assert stage.hear(ResultAck).outcome == "committed"
    done = bench.file(file)
    assert (done.state, done.language, done.duration) == (FileState.DONE, "en", 1.0)
    assert done.outputs[-1] == "a.json"
    assert json.loads((bench.root / "a.json").read_bytes())["text"] == "hello"


def test_a_result_said_again_after_a_lost_acknowledgement_is_committed_once(
    bench: Bench, stage: FakeStage, result: Callable[..., Result]
) -> None:
    """The second one changes nothing and is told the same."""
    file = bench.add()
    job = stage.take()
    stage.say(result(job))
    assert stage.hear(ResultAck).outcome == "committed"
    before = bench.file(file)
    stage.say(result(job))
    assert stage.hear(ResultAck).outcome == "committed"
    assert before == bench.file(file)


def test_a_file_that_was_done_already_goes_to_no_stage(
    bench: Bench, stages: Callable[..., FakeStage], result: Callable[..., Result]
) -> None:
    """It ends with the outputs that lie there, uncharged, and takes nobody's place."""
    stage = stages(credit=1)
    first = bench.add()
    stage.say(result(stage.take()))
    bench.until(lambda: bench.file(first).state is FileState.DONE)
    bench.transcript = bench.written
    again = bench.add(options={"language": "en"})
    other = bench.add("b.wav")
    stage.say(Ready(credit=1))
    assert stage.take().file_id == other.id
    found = bench.file(again)
    assert (found.state, found.attempts, found.outputs) == (FileState.SKIPPED, 0, bench.file(first).outputs)


def test_a_file_whose_transcript_cannot_be_looked_for_waits(
    bench: Bench, stages: Callable[..., FakeStage]
) -> None:
    """A mount that has the hiccups must not look like work that was never done."""

    def unanswered(_file: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    bench.transcript = unanswered
    file = bench.add()
    stage = stages(credit=1)
    bench.until(lambda: bench.file(file).state is FileState.RETRY_WAIT)
    assert bench.file(file).error == Problem(
        code="read_failed", message="its transcript cannot be looked for: Input/output error"
    )
    bench.transcript = bench.written
    bench.step(30.0)
    assert stage.take().file_id == file.id


def test_a_stale_result_changes_nothing(
    bench: Bench, stages: Callable[..., FakeStage], result: Callable[..., Result]
) -> None:
    """Whoever held an older lease is told so."""
    file = bench.add()
    zombie = stages(credit=1)
    old = zombie.take()
    zombie.say(fail(old, "returned"))
    bench.until(lambda: bench.file(file).state is FileState.QUEUED)
    zombie.hear(ResultAck)
    new = stages(credit=1)
    job = new.take()
    zombie.say(result(old))
    assert zombie.hear(ResultAck).outcome == "stale"
    assert (bench.file(file).state, bench.file(file).token) == (FileState.LEASED, job.token)
    assert not (bench.root / "a.json").exists()


@pytest.mark.parametrize("when", ["on disk", "in the result"])
def test_a_source_that_changed_is_done_again_uncharged(
    bench: Bench, stage: FakeStage, result: Callable[..., Result], when: str
) -> None:
    """A transcript of bytes that are no more is dropped."""
    file = bench.add()
    job = stage.take()
    if when == "on disk":
        (bench.root / "a.wav").write_bytes(b"longer than before" * 9)
        stage.say(result(job))
    else:
        stage.say(result(job, size=job.size + 1))
    assert stage.hear(ResultAck).outcome == "stale"
    assert (bench.file(file).state, bench.file(file).attempts) == (FileState.SETTLING, 0)
    assert not (bench.root / "a.json").exists()


def test_of_two_leases_of_one_stage_only_the_newer_counts(
    bench: Bench, stage: FakeStage, result: Callable[..., Result]
) -> None:
    """The token tells them apart, not the worker."""
    file = bench.add()
    old = stage.take()
    stage.say(fail(old, "returned"))
    stage.hear(ResultAck)
    new = stage.take()
    stage.say(result(old))
    assert stage.hear(ResultAck).outcome == "stale"
    assert (bench.file(file).state, bench.file(file).token) == (FileState.LEASED, new.token)


def test_a_source_removed_meanwhile_is_skipped(
    bench: Bench, stage: FakeStage, result: Callable[..., Result]
) -> None:
    """It fails nothing."""
    file = bench.add()
    bench.add("b.wav")
    job = stage.take()
    (bench.root / "a.wav").unlink()
    stage.say(result(job))
    bench.until(lambda: bench.file(file).state is FileState.SKIPPED)
    assert bench.file(file).error.code == "gone"


@pytest.mark.parametrize("says", ["result", "gone"])
def test_an_unmounted_workdir_removes_nothing(
    bench: Bench, stage: FakeStage, result: Callable[..., Result], says: str
) -> None:
    """An empty root is a missing mount, not a thousand deletions."""
    file = bench.add()
    job = stage.take()
    aside = bench.root.with_name("aside")
    bench.root.rename(aside)
    bench.root.mkdir()
    stage.say(result(job) if says == "result" else fail(job, "gone"))
    bench.until(lambda: bench.dispatch.trouble is not None)
    assert bench.file(file).state is FileState.LEASED
    bench.root.rmdir()
    aside.rename(bench.root)
    bench.step(4.0)
    bench.step(4.0)
    assert bench.file(file).state is (FileState.DONE if says == "result" else FileState.RETRY_WAIT)


@pytest.mark.parametrize(
    ("kind", "state", "attempts"),
    [
        ("transient", FileState.RETRY_WAIT, 1),
        ("permanent", FileState.FAILED, 1),
        ("changed", FileState.SETTLING, 0),
        ("returned", FileState.QUEUED, 0),
    ],
)
def test_a_failure_is_judged_by_its_kind(
    bench: Bench, stages: Callable[..., FakeStage], kind: str, state: FileState, attempts: int
) -> None:
    """And acknowledged."""
    file = bench.add()
    stage = stages(credit=1)
    stage.say(fail(stage.take(), kind))
    stage.hear(ResultAck)
    assert (bench.file(file).state, bench.file(file).attempts) == (state, attempts)
    if kind in ("transient", "permanent"):
        assert bench.file(file).error.code == "code"


def test_a_source_that_only_the_stage_does_not_see_is_not_gone(bench: Bench, stage: FakeStage) -> None:
    """A worker without the mount must not make a thousand files skipped."""
    file = bench.add()
    stage.say(fail(stage.take(), "gone"))
    bench.until(lambda: bench.file(file).state is FileState.RETRY_WAIT)
    assert bench.file(file).error.code == "not_seen"


def test_a_passing_failure_is_tried_five_times_ever_later(bench: Bench, stage: FakeStage) -> None:
    """Then it has failed, with its last reason."""
    file = bench.add()
    waits = []
    for attempt in range(1, 6):
        job = stage.take()
        assert bench.file(file).attempts == attempt
        began = bench.now
        stage.say(fail(job, "transient", code=f"reason{attempt}"), Ready(credit=1))
        bench.until(lambda: bench.file(file).state in (FileState.RETRY_WAIT, FileState.FAILED))
        while bench.file(file).state is FileState.RETRY_WAIT:
            stage.say(Pong())
            bench.step(1.0)
        waits.append(bench.now - began)
    assert bench.file(file).state is FileState.FAILED
    assert bench.file(file).error.code == "reason5"
    assert waits[0] < waits[1] < waits[2] < waits[3]
    assert 3.0 <= waits[0] <= 6.0


def test_what_waited_when_the_core_stopped_is_tried_soon(
    bench: Bench, stages: Callable[..., FakeStage]
) -> None:
    """Delays live in memory; a restart makes them short."""
    file = bench.add()
    stage = stages(credit=1)
    stage.say(fail(stage.take(), "transient"))
    bench.until(lambda: bench.file(file).state is FileState.RETRY_WAIT)
    bench.dispatch.close()
    bench.dispatch = bench.build()
    for _ in range(4):
        bench.step(2.0)
    assert bench.file(file).state is FileState.QUEUED


def full(_prepared: Prepared) -> None:
    raise OutputsUnwritableError("a.json: the disk is full", errno.ENOSPC)


def test_a_full_disk_holds_the_result_and_fails_nothing(
    bench: Bench,
    stages: Callable[..., FakeStage],
    result: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For hours nothing is lost or begun; seconds after space returns it is done."""
    file = bench.add()
    stage = stages(credit=1)
    job = stage.take()
    with monkeypatch.context() as patch:
        patch.setattr(bench.committer, "put", full)
        stage.say(result(job), Ready(credit=1))
        bench.until(lambda: bench.dispatch.trouble is not None)
        bench.add("b.wav")
        assert stage.hears_no((Job, ResultAck), steps=20)
        assert bench.file(file).state is FileState.COMMITTING
    for _ in range(3):
        bench.step(4.0)
    assert bench.file(file).state is FileState.DONE
    assert bench.dispatch.trouble is None
    assert stage.take().path == b"b.wav"


def test_a_directory_that_cannot_be_written_costs_attempts_of_its_own_files_only(
    bench: Bench, stage: FakeStage, result: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue goes on with the others."""
    file = bench.add()
    job = stage.take()

    def refuse(_prepared: Prepared) -> None:
        raise OutputsUnwritableError("a.json: permission denied", errno.EACCES)

    with monkeypatch.context() as patch:
        patch.setattr(bench.committer, "put", refuse)
        stage.say(result(job))
        stage.hear(ResultAck)
    assert (bench.file(file).state, bench.file(file).error.code) == (
        FileState.RETRY_WAIT,
        "outputs_unwritable",
    )
    bench.add("b.wav")
    assert stage.take().path == b"b.wav"


@pytest.mark.parametrize("statement", ["begin_commit", "finish_commit"])
def test_a_database_that_cannot_be_written_loses_no_result(
    bench: Bench,
    stage: FakeStage,
    result: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
) -> None:
    """No acknowledgement before it is durable."""
    file = bench.add()
    job = stage.take()

    def refuse(*_args: object, **_values: object) -> None:
        raise UnavailableError("the disk of the queue is full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, statement, refuse)
        stage.say(result(job))
        bench.until(lambda: bench.dispatch.trouble is not None)
        assert stage.hears_no(ResultAck)
    bench.step(4.0)
    bench.step(4.0)
    assert stage.hear(ResultAck).outcome == "committed"
    assert bench.file(file).state is FileState.DONE


def test_windows_are_kept_while_the_database_cannot_be_written(
    bench: Bench, stage: FakeStage, window: Callable[..., Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are saved with the next ones."""
    file = bench.add()
    job = stage.take()

    def refuse(*_args: object, **_values: object) -> None:
        raise UnavailableError("the disk of the queue is full")

    named = {"epoch": job.epoch, "token": job.token, "file_id": job.file_id}
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "checkpoint", refuse)
        stage.say(Progress(windows=(window(0),), position=1.0, **named))
        bench.until(lambda: bench.dispatch._board.jobs[file.id].moved)
        bench.step()
    stage.say(Progress(windows=(window(16_000),), position=2.0, **named))
    bench.until(lambda: bench.file(file).position == 2.0)
    key = bench.dispatch._board.jobs[file.id].text_key
    assert len(bench.store.windows(file.id, key)) == 2


def test_an_odd_result_fails_its_own_file_only(
    bench: Bench, stage: FakeStage, result: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fence around one file."""
    file = bench.add()
    job = stage.take()

    def bug(*_args: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(bench.committer, "prepare", bug)
        stage.say(result(job))
        stage.hear(ResultAck)
    assert (bench.file(file).state, bench.file(file).error.code) == (FileState.FAILED, "internal")


@pytest.mark.parametrize("placed", [True, False])
def test_recovery_finishes_or_requeues_a_commit(
    bench: Bench, stage: FakeStage, result: Callable[..., Result], placed: bool
) -> None:
    """The JSON with the announced hash decides."""
    file = bench.add()
    job = stage.take()
    held = bench.dispatch._board.jobs[file.id]
    said = result(job)
    prepared = bench.committer.prepare(held.file, said, held.options)
    committing = bench.store.begin_commit(
        held.lease,
        output_sha256=prepared.sha256,
        sha256=said.sha256,
        fingerprint=Fingerprint(said.size, said.mtime_ns),
        duration=1.0,
        language="en",
    )
    if placed:
        bench.committer.put(prepared)
    bench.dispatch.recover([committing])
    found = bench.file(file)
    assert found.state is (FileState.DONE if placed else FileState.QUEUED)
    assert found.outputs == (prepared.outputs if placed else ())
