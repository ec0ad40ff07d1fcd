"""An uploaded directory appears whole or not at all, where it was meant to and nowhere else."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from pipeline.errors import BadPathError, ConflictError, PipelineError, UnavailableError, UsageError
from pipeline.ingest import upload
from pipeline.ingest.upload import Upload, Uploads
from pipeline.room import Room
from pipeline.tasks import display

ROOMY = Room(kept_free=0)
FULL = Room(kept_free=1 << 62)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workdir"
    root.mkdir()
    return root


@pytest.fixture
def uploads(root: Path) -> Uploads:
    return Uploads(os.fsencode(root), ROOMY, is_open=True)


def send(upload: Upload, **files: bytes) -> None:
    for name, content in files.items():
        write(upload, name.replace("__", "/").replace("_", ".").encode(), content)


def write(upload: Upload, name: bytes, content: bytes = b"sound") -> None:
    upload.begin(name)
    upload.write(content[:2])
    upload.write(content[2:])
    upload.end()


def shown(root: Path) -> set[str]:
    """Return the files and directories that anybody looks at."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    }


def hidden(root: Path) -> list[Path]:
    place = root / ".whisper/uploads"
    return list(place.iterdir()) if place.exists() else []


def test_a_whole_upload_lies_in_its_directory(root: Path, uploads: Uploads) -> None:
    """Folders inside it as they were sent; nothing is left where it was hidden."""
    received = uploads.begin()
    send(received, a_mp3=b"first", tape__b_wav=b"second")
    assert shown(root) == set()
    received.put(uploads.locate("talks"))
    received.discard()
    assert shown(root) == {"talks", "talks/a.mp3", "talks/tape", "talks/tape/b.wav"}
    assert (root / "talks/tape/b.wav").read_bytes() == b"second"
    assert received.files == [b"a.mp3", b"tape/b.wav"]
    assert hidden(root) == []


def test_directories_on_the_way_are_made(root: Path, uploads: Uploads) -> None:
    """A dirname may lie deep."""
    received = uploads.begin()
    send(received, a_mp3=b"first")
    received.put(uploads.locate("2026/november/talks"))
    assert (root / "2026/november/talks/a.mp3").read_bytes() == b"first"


def test_what_is_discarded_leaves_nothing(root: Path, uploads: Uploads) -> None:
    """Half a file neither."""
    received = uploads.begin()
    received.begin(b"tape/a.mp3")
    received.write(b"half")
    received.discard()
    assert shown(root) == set()
    assert hidden(root) == []


def test_modes_are_those_of_the_umask(root: Path, uploads: Uploads) -> None:
    """As if the service's user had copied the files there."""
    before = os.umask(0o027)
    try:
        received = uploads.begin()
        send(received, a_mp3=b"first")
        received.put(uploads.locate("talks"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "talks").stat().st_mode) == 0o750
    assert stat.S_IMODE((root / "talks/a.mp3").stat().st_mode) == 0o640


@pytest.mark.parametrize("there", ["directory", "file", "dangling link"])
def test_a_name_that_is_taken_is_a_conflict(root: Path, uploads: Uploads, there: str) -> None:
    """Whatever has it, and it is not touched."""
    if there == "directory":
        (root / "talks").mkdir()
    elif there == "file":
        (root / "talks").write_bytes(b"mine")
    else:
        (root / "talks").symlink_to("nowhere")
    with pytest.raises(ConflictError, match="exists"):
        uploads.locate("talks")


def test_of_two_uploads_to_one_name_the_second_is_a_conflict(root: Path, uploads: Uploads) -> None:
    """Also when both found the name free before; the first stays as it is."""
    one, two = uploads.begin(), uploads.begin()
    send(one, a_mp3=b"first")
    send(two, b_mp3=b"second")
    path = uploads.locate("talks")
    one.put(path)
    with pytest.raises(ConflictError, match="exists"):
        two.put(path)
    two.discard()
    assert shown(root) == {"talks", "talks/a.mp3"}
    assert hidden(root) == []


def test_a_directory_that_appears_in_the_last_moment_is_not_replaced(
    root: Path, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's file that lands in it keeps the rename away."""
    received = uploads.begin()
    send(received, a_mp3=b"ours")
    real = os.mkdir

    def mkdir_and_drop(name: bytes, *args: int, **kwargs: int) -> None:
        real(name, *args, **kwargs)
        if name == b"talks":
            (root / "talks/theirs.mp3").write_bytes(b"theirs")

    monkeypatch.setattr(os, "mkdir", mkdir_and_drop)
    with pytest.raises(ConflictError, match="exists"):
        received.put(b"talks")
    assert shown(root) == {"talks", "talks/theirs.mp3"}


@pytest.mark.parametrize("dirname", ["", "/etc/x", "../x", "a/../../x", "a\0b", "a/" * 1000 + "b"])
def test_a_dirname_that_leaves_the_workdir_is_refused(uploads: Uploads, dirname: str) -> None:
    """By its text."""
    with pytest.raises(BadPathError):
        uploads.locate(dirname)


def test_a_dirname_behind_a_link_out_of_the_workdir_is_refused(
    root: Path, tmp_path: Path, uploads: Uploads
) -> None:
    """Wherever the link points."""
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(BadPathError):
        uploads.locate("link/talks")


def test_a_link_that_is_swapped_in_after_the_look_leads_nowhere(
    root: Path, tmp_path: Path, uploads: Uploads
) -> None:
    """The descent to the place follows none."""
    (root / "archive").mkdir()
    (tmp_path / "outside").mkdir()
    received = uploads.begin()
    send(received, a_mp3=b"first")
    path = uploads.locate("archive/talks")
    (root / "archive").rmdir()
    (root / "archive").symlink_to(tmp_path / "outside")
    with pytest.raises(PipelineError):
        received.put(path)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("dirname", [".hidden", "a/.hidden/b", "@eaDir", "talks.part", "kept/out"])
def test_a_dirname_that_nobody_would_look_into_is_refused(root: Path, uploads: Uploads, dirname: str) -> None:
    """An ignored name, or one below a .nowhisper."""
    (root / "kept").mkdir()
    (root / "kept/.nowhisper").touch()
    with pytest.raises(BadPathError, match="would not be looked at"):
        uploads.locate(dirname)


@pytest.mark.parametrize(
    "name",
    [
        *(b"", b".", b"..", b"/etc/a.mp3", b"../a.mp3", b"tape/../../a.mp3", b"a\0.mp3", b".a.mp3"),
        *(b".git/a.mp3", b"@eaDir/a.mp3", b"a.mp3.part", b"~$a.mp3", b"notes.txt", b"a", b"tape\\a.mp3"),
        *(b".nowhisper", b"whisper.toml", b"transcription-status.json", b"a" * 300 + b".mp3"),
        b"a/" * 1000 + b"a.mp3",
    ],
)
def test_a_hostile_or_useless_file_name_is_refused(root: Path, uploads: Uploads, name: bytes) -> None:
    """As the client's error, and the answer names the file."""
    received = uploads.begin()
    with pytest.raises(UsageError) as refused:
        received.begin(name)
    assert repr(display(name)) in str(refused.value)
    received.discard()
    assert shown(root) == set()


def test_a_name_that_is_sent_twice_is_refused(uploads: Uploads) -> None:
    """Also when it is written in two ways, or a file stands where a folder should."""
    received = uploads.begin()
    write(received, b"tape/a.mp3")
    with pytest.raises(UsageError, match="twice"):
        received.begin(b"tape//./a.mp3")
    with pytest.raises(UsageError, match=r"tape/a\.mp3/b\.mp3"):
        received.begin(b"tape/a.mp3/b.mp3")
    received.discard()


def test_names_need_not_be_utf8(root: Path, uploads: Uploads) -> None:
    """Paths are bytes."""
    received = uploads.begin()
    write(received, b"caf\xe9.mp3")
    received.put(uploads.locate("talks"))
    assert [os.fsencode(path.name) for path in (root / "talks").iterdir()] == [b"caf\xe9.mp3"]


def test_there_are_not_endlessly_many_files(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inodes run out before bytes do."""
    monkeypatch.setattr(upload, "MAX_FILES", 2)
    received = uploads.begin()
    send(received, a_mp3=b"1", b_mp3=b"2")
    with pytest.raises(UsageError, match="more than 2 files"):
        received.begin(b"c.mp3")
    received.discard()


def test_the_disk_is_not_filled_to_the_brim(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by what is announced, and not by what comes unannounced."""
    with pytest.raises(UnavailableError, match="nearly full"):
        Uploads(os.fsencode(root), FULL, is_open=True).begin()
    with pytest.raises(UnavailableError, match="nearly full"):
        Uploads(os.fsencode(root), ROOMY, is_open=True).begin(coming=1 << 62)
    room = Room(kept_free=0)
    received = Uploads(os.fsencode(root), room, is_open=True).begin()
    received.begin(b"a.mp3")
    monkeypatch.setattr(room, "_kept_free", 1 << 62)
    with pytest.raises(UnavailableError, match="min_free_bytes"):
        received.write(b"more")
    received.discard()
    assert hidden(root) == []


def test_with_an_output_dir_nothing_is_uploaded(root: Path) -> None:
    """The workdir is then only read."""
    with pytest.raises(ConflictError, match="output_dir"):
        Uploads(os.fsencode(root), ROOMY, is_open=False).begin()
    assert list(root.iterdir()) == []


def test_what_a_crash_left_is_swept_and_what_goes_on_is_not(root: Path, uploads: Uploads) -> None:
    """The lock on an upload's directory tells them apart."""
    crashed, going_on = uploads.begin(), uploads.begin()
    send(crashed, tape__a_mp3=b"half")
    os.close(crashed._folder)  # as the kernel does when a process dies
    uploads.sweep()
    assert [path.name.encode() for path in hidden(root)] == [going_on._name]
    send(going_on, b_mp3=b"whole")
    going_on.put(uploads.locate("talks"))
    assert shown(root) == {"talks", "talks/b.mp3"}


def test_a_sweep_where_nothing_was_ever_uploaded_is_well(root: Path, uploads: Uploads) -> None:
    """And makes nothing."""
    uploads.sweep()
    assert list(root.iterdir()) == []


def test_another_disk_in_the_workdir_is_refused_before_anything_is_sent(root: Path, uploads: Uploads) -> None:
    """A rename does not reach it."""
    (root / "share").mkdir()
    mount = ["mount", "-t", "tmpfs", "none", str(root / "share")]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a disk")
    try:
        with pytest.raises(ConflictError, match="another disk"):
            uploads.locate("share/2026/talks")
    finally:
        subprocess.run(["umount", str(root / "share")], check=True)
