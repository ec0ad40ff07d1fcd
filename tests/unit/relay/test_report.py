"""The status report in the folder: true, rarely rewritten, over nobody's file."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.queue.database import open_database
from pipeline.queue.store import Lease, NewFile, TaskStore
from pipeline.relay import report as report_module
from pipeline.relay.report import INTERVAL_S, Report
from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem, Source, Task

S = FileState
JSON, TXT = "transcription-status.json", "transcription-status.txt"


@pytest.fixture(autouse=True)
def _free_of_charge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slow machine change no time in these tests."""
    monkeypatch.setattr(report_module, "COST_SHARE", 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "w/talks").mkdir(parents=True)
    return tmp_path / "w"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TaskStore]:
    clock = iter(range(1_700_000_000, 1_800_000_000))
    database = open_database(f"sqlite:///{tmp_path}/queue.db")
    store = TaskStore(database, lambda: float(next(clock)))
    store.open_epoch()
    yield store
    database.close()


@pytest.fixture
def report(store: TaskStore, root: Path) -> Report:
    return Report(store, root, None)


Add = Callable[..., tuple[Task, list[MediaFile]]]


@pytest.fixture
def add(store: TaskStore) -> Add:
    """Make a task with files: `add(b"talks", b"talks/a.mp3", state=FileState.QUEUED)`."""

    def task_with(dirname: bytes, *paths: bytes, **values: Any) -> tuple[Task, list[MediaFile]]:
        task, _ = store.open_task(dirname, Source.WATCH, {})
        given = {"state": S.QUEUED, "options": {}} | values
        files = [NewFile(path=path, fingerprint=Fingerprint(1, 1), **given) for path in paths]
        return task, store.add_files(task.id, files)

    return task_with


def finish(store: TaskStore, *, outputs: tuple[str, ...] = (), warnings: tuple[str, ...] = ()) -> None:
    """Do the next queued file."""
    (file,) = store.lease("w", 1)
    lease = Lease(file.epoch, file.token, file.id)
    store.begin_commit(
        lease,
        output_sha256="0" * 64,
        sha256="1" * 64,
        fingerprint=file.fingerprint,
        duration=60.0,
        language="fr",
    )
    store.finish_commit(lease, outputs=outputs, warnings=warnings)


def fail(store: TaskStore, code: str = "empty", message: str = "The file is empty.") -> None:
    (file,) = store.lease("w", 1)
    store.fail(Lease(file.epoch, file.token, file.id), Problem(code=code, message=message))


def settled(report: Report, now: float) -> None:
    """Step until nothing is due at `now`."""
    while report.step(now) < 1.0:
        pass


def told(folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((folder / JSON).read_bytes())
    return answer


def test_a_directory_tells_how_it_stands(store: TaskStore, root: Path, report: Report, add: Add) -> None:
    """The monitoring answer with files, as JSON; the same for people beside it."""
    task, _ = add(b"talks", b"talks/a.mp3", b"talks/b.mp3")
    finish(store, outputs=("talks/a.txt",), warnings=("truncated",))
    fail(store)
    store.end_task(task.id)
    settled(report, 0.0)
    answer = told(root / "talks")
    assert answer["task_id"] == task.id
    assert answer["task_status"] == "partial"
    assert answer["counts"] == {"done": 1, "failed": 1}
    assert [each["path"] for each in answer["files"]] == ["talks/a.mp3", "talks/b.mp3"]
    text = (root / "talks" / TXT).read_text()
    for words in ("Folder: talks", "1 done", "1 failed", "talks/b.mp3", "The file is empty.", "truncated"):
        assert words in text
    assert not list((root / "talks").glob(".*"))


@pytest.mark.parametrize("locale", ["fr_FR.UTF-8", "fr", "fr_CA"])
def test_french_people_read_french(locale: str, store: TaskStore, root: Path, add: Add) -> None:
    """By the locale's name."""
    task, _ = add(b"talks", b"talks/a.mp3")
    fail(store)
    store.end_task(task.id)
    settled(Report(store, root, None, language=locale), 0.0)
    text = (root / "talks" / TXT).read_text()
    assert "Dossier : talks" in text
    assert "Le fichier est vide (0 octet) ; copiez-le de nouveau." in text


def test_it_is_rewritten_at_most_every_ten_seconds_and_at_the_end(
    store: TaskStore, root: Path, report: Report, add: Add
) -> None:
    """Changes gather; the end does not wait."""
    task, _ = add(b"talks", b"talks/a.mp3", b"talks/b.mp3")
    settled(report, 100.0)
    assert told(root / "talks")["counts"] == {"queued": 2}
    finish(store)
    settled(report, 101.0)
    assert told(root / "talks")["counts"] == {"queued": 2}
    settled(report, 100.0 + INTERVAL_S)
    assert told(root / "talks")["counts"] == {"queued": 1, "done": 1}
    finish(store)
    store.end_task(task.id)
    settled(report, 105.0 + INTERVAL_S)
    assert told(root / "talks")["task_status"] == "completed"


def written(path: Path) -> tuple[int, int]:
    """Return what another writing would change; reading changes only the time of the last access."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def test_nothing_is_written_while_nothing_changes(
    store: TaskStore, root: Path, report: Report, add: Add
) -> None:
    """Not even by a service that starts again: watchers and backups would see a change."""
    task, _ = add(b"talks", b"talks/a.mp3")
    finish(store)
    store.end_task(task.id)
    settled(report, 0.0)
    before = written(root / "talks" / JSON)
    settled(report, 1000.0)
    settled(Report(store, root, None), 2000.0)
    assert written(root / "talks" / JSON) == before


def test_all_tasks_of_a_directory_are_told(store: TaskStore, root: Path, report: Report, add: Add) -> None:
    """What an older task left failed still shows, though the newest is completed."""
    first, _ = add(b"talks", b"talks/a.mp3")
    fail(store)
    store.end_task(first.id)
    second, _ = add(b"talks", b"talks/b.mp3")
    finish(store)
    store.end_task(second.id)
    settled(report, 0.0)
    answer = told(root / "talks")
    assert answer["task_id"] == second.id
    assert answer["task_status"] == "partial"
    assert answer["counts"] == {"done": 1, "failed": 1}


def test_the_root_tells_of_its_loose_files_only(root: Path, report: Report, add: Add) -> None:
    """Directories tell of themselves."""
    add(b".", b"loose.mp3")
    add(b"talks", b"talks/a.mp3", b"talks/deep/b.mp3")
    settled(report, 0.0)
    assert [each["path"] for each in told(root)["files"]] == ["loose.mp3"]
    assert told(root)["dirname"] == "."
    assert len(told(root / "talks")["files"]) == 2


def test_a_single_file_is_told_in_its_directory(root: Path, report: Report, add: Add) -> None:
    """Beside what else was done there."""
    add(b"talks", b"talks/a.mp3")
    add(b"talks/b.mp3", b"talks/b.mp3")
    settled(report, 0.0)
    assert told(root / "talks")["dirname"] == "talks"
    assert len(told(root / "talks")["files"]) == 2


def test_a_directory_above_is_told_too(root: Path, report: Report, add: Add) -> None:
    """A later request for a folder inside it changes what it says."""
    (root / "talks/deep").mkdir()
    add(b"talks", b"talks/a.mp3")
    settled(report, 0.0)
    add(b"talks/deep", b"talks/deep/b.mp3")
    settled(report, INTERVAL_S)
    assert len(told(root / "talks")["files"]) == 2
    assert len(told(root / "talks/deep")["files"]) == 1


def test_with_an_output_directory_it_lies_there(
    store: TaskStore, root: Path, tmp_path: Path, add: Add
) -> None:
    """The workdir is not touched."""
    add(b"talks", b"talks/a.mp3")
    settled(Report(store, root, tmp_path / "out"), 0.0)
    assert told(tmp_path / "out/talks")["counts"] == {"queued": 1}
    assert list((root / "talks").iterdir()) == []


def test_a_users_own_files_of_that_name_are_kept(
    store: TaskStore, root: Path, report: Report, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once; links are not followed."""
    (root / "talks" / TXT).write_text("my notes")
    (root / "talks" / JSON).symlink_to(root / "elsewhere")
    add(b"talks", b"talks/a.mp3")
    settled(report, 0.0)
    finish(store)
    settled(report, INTERVAL_S)
    assert (root / "talks" / TXT).read_text() == "my notes"
    assert not (root / "elsewhere").exists()
    assert len(caplog.messages) == 2


def test_a_directory_that_is_gone_breaks_nothing(
    store: TaskStore, root: Path, report: Report, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once; the others are told as ever."""
    add(b"gone", b"gone/a.mp3")
    add(b"talks", b"talks/a.mp3")
    settled(report, 0.0)
    finish(store)
    settled(report, INTERVAL_S)
    assert not (root / "gone").exists()
    assert told(root / "talks")
    assert len(caplog.messages) == 1


def test_a_name_with_a_newline_stays_on_its_line(
    store: TaskStore, root: Path, report: Report, add: Add
) -> None:
    """A name cannot write lines of its own into the report."""
    add(b"talks", b"talks/a\nFinished.mp3")
    fail(store)
    settled(report, 0.0)
    assert "talks/a\\nFinished.mp3" in (root / "talks" / TXT).read_text()


def test_a_task_without_media_is_told_why(store: TaskStore, root: Path, report: Report) -> None:
    """The words of its error stand in the text."""
    store.open_task(b"talks", Source.API, {}, error=Problem(code="no_media", message="talks holds no audio."))
    settled(report, 0.0)
    assert told(root / "talks")["error"] == {"code": "no_media", "message": "talks holds no audio."}
    assert "talks holds no audio." in (root / "talks" / TXT).read_text()


def test_what_changed_last_is_written_before_the_end(
    store: TaskStore, root: Path, report: Report, add: Add
) -> None:
    """A service that stops leaves true reports."""
    add(b"talks", b"talks/a.mp3")
    settled(report, 0.0)
    finish(store)
    report.step(1.0)
    report.close()
    assert told(root / "talks")["counts"] == {"done": 1}


def test_a_large_directory_is_written_rarely(
    store: TaskStore, root: Path, report: Report, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports take a twentieth of the time at most, also those at an end."""
    task, _ = add(b"talks", b"talks/a.mp3")
    settled(report, 0.0)
    assert report._folders[b"talks"].cost > 0
    report._folders[b"talks"].cost = 3.0
    monkeypatch.setattr(report_module, "COST_SHARE", 20)
    finish(store)
    store.end_task(task.id)
    settled(report, 59.0)
    assert told(root / "talks")["counts"] == {"queued": 1}
    settled(report, 60.0)
    assert told(root / "talks")["counts"] == {"done": 1}


def test_a_directory_in_which_nothing_goes_on_is_forgotten_and_found_again(
    store: TaskStore, root: Path, report: Report, add: Add
) -> None:
    """Memory does not grow with the tasks there have been; one that is taken up again is told of."""
    task, _ = add(b"talks", b"talks/a.mp3")
    fail(store)
    store.end_task(task.id)
    settled(report, 0.0)
    settled(report, 60.0)
    assert (report._folders, report._of_task, report._agenda) == ({}, {}, [])
    store.retry(task.id)
    settled(report, 61.0)
    assert told(root / "talks")["counts"] == {"queued": 1}


def test_a_directory_above_is_told_too_when_it_was_forgotten(root: Path, report: Report, add: Add) -> None:
    """Its own task has long ended."""
    add(b"talks", b"talks/a.mp3")
    settled(report, 0.0)
    settled(report, 60.0)
    add(b"talks/in", b"talks/in/b.mp3")
    settled(report, 61.0)
    assert told(root / "talks")["counts"] == {"queued": 2}


def test_of_very_many_reports_the_last_are_left_to_the_next_start(
    root: Path, report: Report, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that stops has seconds."""
    add(b"talks", b"talks/a.mp3")
    monkeypatch.setattr(report_module, "CLOSE_S", 0.0)
    report.close()
    assert not (root / "talks" / JSON).exists()


def test_what_could_not_be_reported_is_said_once_and_forgotten_with_the_directory(
    root: Path, report: Report, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    """Directories that come and go, a complaint about each, leave nothing in memory."""
    (root / "talks").rmdir()
    for number in range(2):
        add(b"talks", b"talks/%d.mp3" % number)
        settled(report, INTERVAL_S * number)
    assert caplog.text.count("talks: its status report could not be written") == 1
    settled(report, 60.0)
    add(b"talks", b"talks/2.mp3")
    settled(report, 61.0)
    assert caplog.text.count("talks: its status report could not be written") == 2
