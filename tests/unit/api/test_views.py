"""`status`: the queue as tables, whoever reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.views import LISTED, show_status
from pipeline.queue.database import open_database
from pipeline.queue.store import NewFile, TaskStore
from pipeline.settings import Settings, queue_place
from pipeline.tasks import FileState, Fingerprint, Problem, Source

FAULT = Problem(code="crashed", message="the transcriber was killed by SIGSEGV while it worked on this file")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workdir=tmp_path)


@pytest.fixture
def store(settings: Settings) -> Iterator[TaskStore]:
    """Own the queue of the workdir, as a service does meanwhile."""
    database = open_database(queue_place(settings).url)
    store = TaskStore(database)
    store.open_epoch()
    yield store
    database.close()


def failed(path: bytes, size: int = 1, state: FileState = FileState.FAILED) -> NewFile:
    return NewFile(path=path, fingerprint=Fingerprint(size, 1), state=state, options={}, error=FAULT)


def test_failures_of_every_task_are_shown_with_what_to_do(
    store: TaskStore, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not those of the newest tasks alone; no longer of a file that was replaced since."""
    store.open_task(b"oldest", Source.WATCH, {}, files=[failed(b"oldest/a.mp3"), failed(b"oldest/b.mp3")])
    for number in range(LISTED):
        store.open_task(b"%d" % number, Source.WATCH, {})
    again = NewFile(path=b"oldest/b.mp3", fingerprint=Fingerprint(2, 1), state=FileState.QUEUED, options={})
    store.open_task(b"oldest", Source.WATCH, {}, files=[again])
    show_status(settings, None, only_failed=True)
    shown = capsys.readouterr().out
    assert "oldest/a.mp3" in shown
    assert "Convert the file or cut it, or ask for a retry." in shown
    assert "oldest/b.mp3" not in shown


def test_a_task_without_files_says_why_it_failed(
    store: TaskStore, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the list and by itself."""
    store.open_task(
        b"papers", Source.API, {}, error=Problem(code="no_media", message="papers holds no audio")
    )
    for what in ("papers", None):
        show_status(settings, what, only_failed=False)
        assert "papers holds no audio" in capsys.readouterr().out


def test_that_there_are_older_tasks_is_said(
    store: TaskStore, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the table, which another program may read."""
    for number in range(LISTED):
        store.open_task(b"%d" % number, Source.WATCH, {})
    show_status(settings, None, only_failed=False)
    assert capsys.readouterr().err == ""
    store.open_task(b"one more", Source.WATCH, {})
    show_status(settings, None, only_failed=False)
    listed = capsys.readouterr()
    assert "newest 50" in listed.err
    assert len(listed.out.splitlines()) == LISTED + 1


def test_a_name_with_a_newline_or_an_escape_is_one_line(
    store: TaskStore, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal obeys none of it."""
    store.open_task(b"a\nb\x1b[2J", Source.WATCH, {}, files=[failed(b"a\nb\x1b[2J/x.mp3")])
    show_status(settings, None, only_failed=True)
    assert "a\\nb\\x1b[2J/x.mp3" in capsys.readouterr().out
