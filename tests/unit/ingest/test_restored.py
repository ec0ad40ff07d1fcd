from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.ingest.restored import Restored
from pipeline.queue.records import NewFile
from pipeline.queue.store import TaskStore
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source

Ask = Callable[..., MediaFile]


@pytest.fixture
def ask(store: TaskStore, workdir: Path) -> Ask:
    """Queue a file as it is now."""

    def one(path: bytes, *, force: bool = False, **named: Any) -> MediaFile:
        found = (workdir / path.decode()).stat()
        fingerprint = Fingerprint(found.st_size, found.st_mtime_ns)
        new = NewFile(path=path, fingerprint=fingerprint, state=FileState.QUEUED, options=named)
        options = {"force": True} if force else {}
        task, _ = store.open_task(path.partition(b"/")[0], Source.API, options, files=[new])
        return next(row for row in store.known(task.dirname)[path] if row.state is FileState.QUEUED)

    return one


@pytest.fixture
def restored(store: TaskStore, workdir: Path) -> Callable[[], Restored]:
    return lambda: Restored(store, workdir, None)


def test_what_waited_and_is_done_has_its_transcript(
    ask: Ask, restored: Callable[[], Restored], put: Callable[..., bytes], transcribe: Callable[..., Path]
) -> None:
    """The JSON beside it tells, not the row."""
    row = ask(put("talks/a.wav"))
    restored_now = restored()
    assert restored_now.transcript(row) is None
    transcribe(row.path)
    found = restored_now.transcript(row)
    assert found is not None
    assert found.outputs == ("talks/a.json",)


def test_what_came_since_the_start_is_not_looked_at(
    ask: Ask, restored: Callable[[], Restored], put: Callable[..., bytes], transcribe: Callable[..., Path]
) -> None:
    """It was judged as it settled."""
    before = restored()
    row = ask(put("talks/a.wav"))
    transcribe(row.path)
    assert before.transcript(row) is None
    assert restored().transcript(row) is not None


@pytest.mark.parametrize("named", [{"force": True}, {"language": "fr"}, {"model": "tiny"}])
def test_what_somebody_asked_for_is_still_to_be_done(
    ask: Ask,
    restored: Callable[[], Restored],
    put: Callable[..., bytes],
    transcribe: Callable[..., Path],
    named: dict[str, Any],
) -> None:
    """By force, or in another way than it was done."""
    path = put("talks/a.wav")
    transcribe(path)
    assert restored().transcript(ask(path, **named)) is None


def test_what_changed_since_is_still_to_be_done(
    ask: Ask, restored: Callable[[], Restored], put: Callable[..., bytes], transcribe: Callable[..., Path]
) -> None:
    """A transcript of the sound before, or a row of it, tells nothing of what lies there now."""
    row = ask(put("talks/a.wav"))
    transcribe(row.path)
    newer = ask(put("talks/a.wav", b"other sound"))
    assert restored().transcript(row) is None
    assert restored().transcript(newer) is None
