"""The monitoring answer: names of the contract, progress by seconds of audio, an honest ETA."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.queue.records import Seconds
from pipeline.status import file_answer, task_answer
from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem, Source, Task, TaskState

TASK = Task(
    id="t" * 32,
    dirname=b"caf\xe9/talks",
    state=TaskState.RUNNING,
    source=Source.WATCH,
    created_at=1_700_000_000.0,
    started_at=1_700_000_010.0,
    updated_at=1_700_000_050.0,
)
FILE = MediaFile(
    id=1,
    task_id=TASK.id,
    path=b"talks/a.mp3",
    state=FileState.LEASED,
    fingerprint=Fingerprint(1, 2),
    options={},
    text_key="",
    attempts=1,
    duration=60.0,
    position=15.0,
)
S = FileState


def answer(
    task: Task = TASK,
    *,
    counts: dict[FileState, int] | None = None,
    now: float = 1_700_000_110.0,
    **sums: Any,
) -> dict[str, Any]:
    found = {S.DONE: 1, S.QUEUED: 2} if counts is None else counts
    return task_answer(task, files=None, counts=found, sums=Seconds(**sums), now=now)


def test_a_task_answers_with_every_name_of_the_contract() -> None:
    """Programs rely on each; paths and times as text."""
    assert task_answer(TASK, files=[FILE], counts={S.LEASED: 1}, sums=Seconds(60.0, 15.0), now=0.0) == {
        "task_id": "t" * 32,
        "task_status": "running",
        "dirname": "caf\\xe9/talks",
        "source": "watch",
        "progress": 0.25,
        "eta_seconds": None,
        "created_at": "2023-11-14T22:13:20.000Z",
        "started_at": "2023-11-14T22:13:30.000Z",
        "finished_at": None,
        "updated_at": "2023-11-14T22:14:10.000Z",
        "audio_seconds": 60.0,
        "counts": {"leased": 1},
        "warnings": [],
        "error": None,
        "files": [file_answer(FILE)],
    }


def test_a_file_answers_with_every_name_of_the_contract() -> None:
    """An error is a code and a message."""
    failed = replace(
        FILE, state=S.FAILED, error=Problem(code="empty", message="The file is empty."), outputs=("x.txt",)
    )
    assert file_answer(failed) == {
        "path": "talks/a.mp3",
        "status": "failed",
        "progress": 1.0,
        "duration": 60.0,
        "language": None,
        "attempts": 1,
        "outputs": ["x.txt"],
        "warnings": [],
        "error": {"code": "empty", "message": "The file is empty."},
    }


def test_without_files_there_is_no_such_key() -> None:
    """Lists of tasks carry counts instead."""
    assert "files" not in answer()


def test_counts_name_the_states_that_occur() -> None:
    """Zeros are left out."""
    assert answer(counts={S.DONE: 3, S.FAILED: 0, S.SKIPPED: 1})["counts"] == {"done": 3, "skipped": 1}


def test_the_eta_is_what_is_left_at_the_pace_so_far() -> None:
    """300 of 900 s of audio in 100 s: 200 s more."""
    assert answer(total=900.0, done=300.0)["eta_seconds"] == 200.0


def test_files_of_unknown_length_count_as_of_mean_length() -> None:
    """Else a task whose last files are not opened yet would seem nearly done."""
    told = answer(total=300.0, done=300.0, unknown_open=2)
    assert told["progress"] == pytest.approx(1 / 3, abs=1e-4)
    assert told["eta_seconds"] == 200.0


def test_no_pace_no_eta() -> None:
    """Nothing transcribed yet, or nothing left to do."""
    assert answer(total=900.0)["eta_seconds"] is None
    assert answer(replace(TASK, state=TaskState.PENDING, started_at=None))["eta_seconds"] is None
    assert answer(replace(TASK, state=TaskState.COMPLETED), total=9.0, done=9.0)["eta_seconds"] is None


def test_without_any_duration_files_count() -> None:
    """One of three has ended."""
    assert answer(unknown_open=2)["progress"] == pytest.approx(1 / 3, abs=1e-4)


def test_an_empty_task_has_done_nothing() -> None:
    """Its files are yet to come."""
    assert answer(counts={})["progress"] == 0.0


@pytest.mark.parametrize("state", sorted(set(TaskState) - {TaskState.PENDING, TaskState.RUNNING}))
def test_an_ended_task_is_at_one(state: TaskState) -> None:
    """However it ended."""
    assert answer(replace(TASK, state=state), counts={S.FAILED: 2}, total=60.0)["progress"] == 1.0


@given(st.floats(0, 1e6), st.floats(0, 1), st.integers(0, 50), st.integers(0, 50))
def test_an_active_task_is_never_at_one(total: float, share: float, ended: int, unknown: int) -> None:
    """Progress stays between 0 and 1 whatever is known, and grows with what is done."""
    counts = {S.DONE: ended, S.QUEUED: unknown}
    now = answer(counts=counts, total=total, done=total * share, unknown_open=unknown)["progress"]
    before = answer(counts=counts, total=total, done=total * share / 2, unknown_open=unknown)["progress"]
    assert 0 <= before <= now < 1
