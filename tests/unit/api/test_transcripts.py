"""GET /transcription/{task_id}/files/{path}: finished transcripts."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from api.transcripts import MEDIA_TYPES, opened, recorded
from pipeline.errors import BadPathError, ConflictError, NotFoundError
from pipeline.queue.records import Lease, NewFile
from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem, Source, display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fastapi.testclient import TestClient

    from api.service import Core


def media_file(path: bytes, *outputs: str, **changes: Any) -> MediaFile:
    state = FileState.DONE if outputs else FileState.QUEUED
    rest = {"fingerprint": Fingerprint(1, 1), "options": {}, "text_key": "", "state": state}
    return MediaFile(id=1, task_id="t", path=path, outputs=outputs, **rest | changes)


@pytest.mark.parametrize(
    ("path", "output"),
    [
        (b"talks/a.wav", b"talks/a.txt"),
        (b"talks/a.wav", b"talks/a.wav.txt"),
        (b"talks/a.wav", b"talks/a.wav.2.txt"),
        (b"loose.wav", b"loose.txt"),
        (b"talks/new\nline.wav", b"talks/new\nline.txt"),
        (b"talks/\xff\xe9.wav", b"talks/\xff\xe9.txt"),
        ("été/où.wav".encode(), "été/où.txt".encode()),
    ],
)
def test_the_recorded_output_is_read_whatever_its_name(tmp_path: Path, path: bytes, output: bytes) -> None:
    """A stem, a full name, a number; bytes that are not UTF-8."""
    whole = tmp_path / os.fsdecode(output)
    whole.parent.mkdir(exist_ok=True)
    whole.write_bytes(b"said")
    with opened(os.fsencode(tmp_path), recorded(media_file(path, display(output)), "txt")) as file:
        assert file.read() == b"said"


def test_only_outputs_the_queue_recorded_are_read() -> None:
    """A talk.txt of the user's own is not our transcript."""
    assert recorded(media_file(b"talks/a.wav", "talks/a.wav.srt", "talks/a.json"), "txt") is None


def test_a_file_without_transcript_says_why() -> None:
    """Not yet, or never: with its error."""
    with pytest.raises(ConflictError, match=r"a.wav is queued"):
        recorded(media_file(b"a.wav"), "txt")
    broken = media_file(
        b"a.wav", state=FileState.FAILED, error=Problem(code="corrupt", message="It is damaged.")
    )
    with pytest.raises(ConflictError, match=r"a.wav is failed: .*It is damaged"):
        recorded(broken, "txt")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file outside the folder `tmp_path / "in"`."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    secret = tmp_path / "out" / "a.txt"
    secret.write_text("secret")
    return secret


def test_a_link_in_place_of_an_output_is_not_followed(tmp_path: Path, secret: Path) -> None:
    """Wherever it leads."""
    (tmp_path / "in" / "a.txt").symlink_to(secret)
    with pytest.raises(NotFoundError):
        opened(os.fsencode(tmp_path / "in"), b"a.txt")


def test_a_directory_that_became_a_link_out_of_the_folder_is_refused(tmp_path: Path, secret: Path) -> None:
    """What lies there is not ours."""
    (tmp_path / "in" / "talks").symlink_to(secret.parent)
    with pytest.raises(BadPathError):
        opened(os.fsencode(tmp_path / "in"), b"talks/a.txt")


def test_a_link_to_a_directory_inside_the_folder_is_followed(tmp_path: Path) -> None:
    """As ingest does."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("said")
    (tmp_path / "link").symlink_to("real")
    with opened(os.fsencode(tmp_path), b"link/a.txt") as file:
        assert file.read() == b"said"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "FIFO"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A FIFO without a writer would otherwise hold a thread for good."""
    make(tmp_path / "a.txt")
    with pytest.raises(NotFoundError):
        opened(os.fsencode(tmp_path), b"a.txt")


def test_a_removed_output_is_a_404(tmp_path: Path) -> None:
    """It was there when it was recorded."""
    with pytest.raises(NotFoundError, match=r"a.txt is not there any more"):
        opened(os.fsencode(tmp_path), b"a.txt")


@pytest.fixture
def finished(core: Core, root: Path) -> Iterator[str]:
    """Return the id of a task whose one file, 'été/a b.wav', is done, its outputs beside it."""
    task, _ = core.store.open_task("été".encode(), Source.API, {})
    queued = NewFile(
        path="été/a b.wav".encode(),
        fingerprint=Fingerprint(5, 5),
        state=FileState.QUEUED,
        options={},
        priority=2**31 - 1,
    )
    core.store.add_files(task.id, [queued])
    (file,) = core.store.lease("w", 1)
    lease = Lease(file.epoch, file.token, file.id)
    core.store.begin_commit(
        lease,
        output_sha256="0",
        sha256="0",
        fingerprint=file.fingerprint,
        duration=1.0,
        language="fr",
    )
    (root / "été").mkdir()
    for format_ in MEDIA_TYPES:
        (root / "été" / f"a b.{format_}").write_text(f"<{format_} où>")
    core.store.finish_commit(lease, outputs=[f"été/a b.{each}" for each in MEDIA_TYPES], warnings=[])
    yield task.id
    shutil.rmtree(root / "été")
    core.store.forget("été".encode())


def test_a_finished_transcript_is_answered_in_each_format(client: TestClient, finished: str) -> None:
    """With its media type, and not to be taken for HTML whatever was said."""
    for format_, media_type in MEDIA_TYPES.items():
        answer = client.get(f"/transcription/{finished}/files/été/a b.wav", params={"format": format_})
        assert (answer.status_code, answer.text) == (200, f"<{format_} où>")
        assert answer.headers["content-type"] == media_type
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"] == f"inline; filename*=UTF-8''a%20b.{format_}"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("été/a b.wav", 200),
        ("été/b.wav", 404),
        ("été/a b.txt", 404),
        ("été/%2e%2e/été/a b.wav", 404),
        ("..%2f..%2fetc/passwd", 404),
        ("été/a b.wav?format=doc", 400),
        ("été/a b.wav?fromat=txt", 400),
    ],
)
def test_a_transcript_is_asked_for_by_its_recording(
    client: TestClient, finished: str, path: str, status: int
) -> None:
    """By the path that the monitoring answer shows, and nothing else."""
    assert client.get(f"/transcription/{finished}/files/{path}").status_code == status
