"""What becomes of tasks and files stands in the log, with their ids, at the level it deserves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import journal
from pipeline.queue.database import open_database
from pipeline.queue.rows import lease_of
from pipeline.queue.store import NewFile, TaskStore
from pipeline.tasks import FileState, Fingerprint, Problem, Source, TaskState


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TaskStore]:
    database = open_database(f"sqlite:///{tmp_path}/queue.db")
    store = TaskStore(database, listeners=(journal.tell,))
    store.open_epoch()
    yield store
    database.close()


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_files_life_stands_in_the_log(store: TaskStore, caplog: pytest.LogCaptureFixture) -> None:
    """From the task's acceptance to its end, every line with the task's id, those of the file with the file's."""
    caplog.set_level(logging.DEBUG, "pipeline.journal")
    new = NewFile(path=b"talks/a.mp3", fingerprint=Fingerprint(1, 1), state=FileState.SETTLING, options={})
    task, _ = store.open_task(b"talks", Source.WATCH, {}, files=[new])
    (file,) = store.files(task.id).rows
    store.settle([(file.id, file.fingerprint)])
    (file,) = store.lease("w", 1)
    store.retry_later(lease_of(file), Problem(code="unreadable", message="permission denied"))
    store.retry_now([file.id])
    (file,) = store.lease("w", 1)
    same = file.fingerprint
    store.begin_commit(
        lease_of(file), output_sha256="", sha256="", fingerprint=same, duration=9.0, language="fr"
    )
    store.finish_commit(lease_of(file), outputs=[], warnings=[])
    store.end_task(task.id)
    assert said(caplog) == [
        ("INFO", "talks: task is accepted"),
        ("DEBUG", "talks/a.mp3: is still being written"),
        ("DEBUG", "talks/a.mp3: is queued"),
        ("DEBUG", "talks: task is running"),
        ("INFO", "talks/a.mp3: is begun"),
        ("WARNING", "talks/a.mp3: is tried again later: permission denied"),
        ("INFO", "talks/a.mp3: is queued: permission denied"),
        ("INFO", "talks/a.mp3: is begun"),
        ("DEBUG", "talks/a.mp3: is transcribed; its outputs are put in place"),
        ("INFO", "talks/a.mp3: is done"),
        ("INFO", "talks: task is completed"),
    ]
    assert {record.task_id for record in caplog.records} == {task.id}
    files = [record for record in caplog.records if not record.getMessage().startswith("talks: ")]
    assert {record.file_id for record in files} == {file.id}
    assert [record.code for record in files if hasattr(record, "code")] == ["unreadable", "unreadable"]


def test_a_failure_is_an_error_with_its_code(store: TaskStore, caplog: pytest.LogCaptureFixture) -> None:
    """Also of a file that no stage ever had."""
    problem = Problem(code="bad_options", message="unknown key")
    new = NewFile(
        path=b"talks/a.mp3", fingerprint=Fingerprint(1, 1), state=FileState.FAILED, options={}, error=problem
    )
    store.open_task(b"talks", Source.WATCH, {}, files=[new])
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.getMessage(), record.code) == ("talks/a.mp3: failed: unknown key", "bad_options")


def test_every_state_has_its_words() -> None:
    """A state that is added is not forgotten here."""
    assert (set(journal._FILES), set(journal._TASKS)) == (set(FileState), set(TaskState))
