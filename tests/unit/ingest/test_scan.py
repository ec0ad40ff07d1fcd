"""Which files of a directory are media, and how far a scan may go."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.ingest import beneath
from pipeline.ingest import scan as scan_module
from pipeline.ingest.ignore import is_ignored, is_media
from pipeline.ingest.scan import scan, top_directories


@pytest.fixture
def found(workdir: Path) -> Any:
    """Scan a directory of the workdir; return the paths."""
    return lambda path=b"a": [each.path for each in scan(os.fsencode(workdir), path)]


@pytest.mark.parametrize(
    "name",
    [b"x.mp3", b"X.MP3", b"x.y.flac", b"x.webm", b"x.mkv", b"x.opus", b"\xff.wav", b"-x.m4a", b"a\nb.ogg"],
)
def test_media_is_known_by_its_extension(name: bytes) -> None:
    """In any case."""
    assert is_media(name)


@pytest.mark.parametrize(
    "name", [b"x.txt", b"x.srt", b"x.json", b"x", b".mp3", b"mp3", b"x.pdf", b"x.mp3.txt", b"whisper.toml"]
)
def test_other_names_are_no_media(name: bytes) -> None:
    """Our outputs among them."""
    assert not is_media(name)


@pytest.mark.parametrize(
    "name",
    [
        b".x.mp3", b".x.mp3.AbC123", b"x.mp3.part", b"x.PART", b"x.partial", b"x.tmp", b"x.crdownload", b"x.download",
        b"x.filepart", b"~$x.mp3", b".syncthing.x.mp3.tmp", b"@eaDir", b"#recycle", b"#snapshot", b"$RECYCLE.BIN",
        b"System Volume Information", b"lost+found", b"Thumbs.db", b".whisper",
    ],
)  # fmt: skip
def test_what_is_unfinished_or_not_meant_is_ignored(name: bytes) -> None:
    """Hidden names cover rsync's and our own temporary files."""
    assert is_ignored(name)


def test_a_subtree_is_scanned_in_the_order_of_names(
    put: Callable[..., bytes], found: Callable[..., list[bytes]]
) -> None:
    """Each path once; ignored directories are not entered."""
    for name in (
        "a/2.mp3",
        "a/10.mp3",
        "a/b/1.mp3",
        "a/@eaDir/x.mp3",
        "a/.hidden/x.mp3",
        "a/x.mp3.part",
        "z/x.mp3",
    ):
        put(name)
    assert found() == [b"a/10.mp3", b"a/2.mp3", b"a/b/1.mp3"]


def test_the_root_is_its_loose_files(put: Callable[..., bytes], found: Callable[..., list[bytes]]) -> None:
    """Directories are units of their own."""
    put("a/x.mp3")
    put("y.mp3")
    assert found(b".") == [b"y.mp3"]


def test_a_single_file_is_found(put: Callable[..., bytes], found: Callable[..., list[bytes]]) -> None:
    """Also loose, never when ignored."""
    put("a/x.mp3")
    put("y.mp3")
    put("a/.z.mp3")
    assert (found(b"a/x.mp3"), found(b"y.mp3"), found(b"a/.z.mp3")) == ([b"a/x.mp3"], [b"y.mp3"], [])


@pytest.mark.parametrize("place", [".nowhisper", "a/.nowhisper", "a/b/.nowhisper"])
def test_a_nowhisper_keeps_its_subtree_out(
    place: str, put: Callable[..., bytes], found: Callable[..., list[bytes]]
) -> None:
    """However deep the scan begins."""
    put("a/b/c/x.mp3")
    put(place, b"")
    assert found(b"a/b/c") == found(b"a") == []


def test_links_to_directories_are_not_followed(
    put: Callable[..., bytes], found: Callable[..., list[bytes]], workdir: Path
) -> None:
    """So that no loop and no double is possible."""
    put("a/b/x.mp3")
    (workdir / "a/loop").symlink_to(".")
    (workdir / "a/up").symlink_to("..")
    assert found() == [b"a/b/x.mp3"]


def test_links_to_files_are_followed_inside_only(
    put: Callable[..., bytes], workdir: Path, tmp_path: Path
) -> None:
    """One that leaves is told, with the link's own stat."""
    put("b/x.mp3", b"12345")
    (tmp_path / "secret.mp3").write_bytes(b"secret")
    (workdir / "a").mkdir()
    (workdir / "a/in.mp3").symlink_to("../b/x.mp3")
    (workdir / "a/none.mp3").symlink_to("nowhere.mp3")
    (workdir / "a/out.mp3").symlink_to("../../secret.mp3")
    inside, outside = scan(os.fsencode(workdir), b"a")
    assert (inside.path, inside.outside, inside.look.size) == (b"a/in.mp3", False, 5)
    assert (outside.path, outside.outside) == (b"a/out.mp3", True)


def test_only_regular_files_are_media(found: Callable[..., list[bytes]], workdir: Path) -> None:
    """A FIFO of that name would hold up whoever opens it."""
    (workdir / "a/dir.mp3").mkdir(parents=True)
    os.mkfifo(workdir / "a/pipe.mp3")
    assert found() == []


def test_a_deep_tree_is_scanned(found: Callable[..., list[bytes]], workdir: Path) -> None:
    """200 directories, one in another."""
    path = "a/" + "/".join(["d"] * 200)
    (workdir / path).mkdir(parents=True)
    (workdir / path / "x.mp3").write_bytes(b"x")
    assert found() == [os.fsencode(path) + b"/x.mp3"]


def test_a_directory_that_cannot_be_opened_is_left_out(
    put: Callable[..., bytes],
    found: Callable[..., list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others are scanned."""
    put("a/closed/x.mp3")
    put("a/open/y.mp3")
    real = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> Any:
        if path == b"closed":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(scan_module.os, "open", refuse)
    assert found() == [b"a/open/y.mp3"]
    assert "a/closed" in caplog.text


def test_what_is_not_there_has_no_files(found: Callable[..., list[bytes]]) -> None:
    """A directory may go while we look."""
    assert found(b"nowhere") == []


def test_a_scan_leaves_no_file_descriptor(
    put: Callable[..., bytes], found: Callable[..., list[bytes]]
) -> None:
    """Also when it is not read to its end."""
    for number in range(5):
        put(f"a/{number}/x.mp3")
    before = len(list(Path("/proc/self/fd").iterdir()))
    found()
    next(iter(found()))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_units_are_the_directories_below_the_root(put: Callable[..., bytes], workdir: Path) -> None:
    """Not links, not ignored names."""
    put("a/x.mp3")
    put(".whisper/queue.mp3")
    put("loose.mp3")
    (workdir / "link").symlink_to("a")
    assert top_directories(os.fsencode(workdir)) == [b"a"]


def test_opening_follows_no_link_out_of_the_workdir(
    put: Callable[..., bytes], workdir: Path, tmp_path: Path
) -> None:
    """Neither the last part nor one on the way, not even one put there after the check."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x.mp3").write_bytes(b"secret")
    put("a/x.mp3")
    (workdir / "b").symlink_to(tmp_path / "out")
    root = os.fsencode(workdir)
    with pytest.raises(OSError, match="leaves"), beneath.opened(root, b"b/x.mp3"):
        pass
    with pytest.raises(OSError, match=r"Not a directory|loop"), beneath.opened_directory(root, b"b"):
        pass
    with beneath.opened(root, b"a/x.mp3") as handle:
        assert os.read(handle, 9) == b"sound"


def test_opening_a_fifo_does_not_wait(workdir: Path) -> None:
    """It is refused."""
    os.mkfifo(workdir / "x.mp3")
    with pytest.raises(OSError, match="regular"), beneath.opened(os.fsencode(workdir), b"x.mp3"):
        pass
