"""The file of keys: replaced whole, by one at a time, its owner's alone."""

import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.keys import file
from api.keys.key import Key, Scope, new_key
from pipeline.errors import KeysFileError

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file.create(tmp_path / "keys.json")
    return tmp_path / "keys.json"


def make(name: str) -> Key:
    return new_key(name, {Scope.READ, Scope.WRITE}, NOW)[0]


def add(path: Path, *keys: Key) -> None:
    file.change(path, lambda known: (*known, *keys))


def test_what_was_put_in_is_read_again(path: Path) -> None:
    """Key for key, in order."""
    keys = (make("a"), make("b"))
    add(path, *keys)
    assert file.read(path) == keys


def test_it_is_its_owners_alone(path: Path) -> None:
    """Mode 0600 from its first byte on, also where a change replaces it."""
    add(path, make("a"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    add(path, make("b"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_making_it_leaves_one_that_is_there(path: Path) -> None:
    """With its keys."""
    add(path, make("a"))
    file.create(path)
    assert len(file.read(path)) == 1


class Slow(threading.Thread):
    """Adds a key, and takes as long as it is let."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(target=file.change, args=(path, self._edit))
        self.holds, self.may_end = threading.Event(), threading.Event()
        self._key = make(name)
        self.start()

    def _edit(self, known: file.Keys) -> file.Keys:
        self.holds.set()
        assert self.may_end.wait(10)
        return (*known, self._key)


def test_changes_made_at_once_are_all_kept(path: Path) -> None:
    """One waits for the other, also where the file that it waited for has been replaced by a third."""
    first = Slow(path, "first")
    assert first.holds.wait(10)
    second = Slow(path, "second")
    assert not second.holds.wait(0.2)
    first.may_end.set()
    assert second.holds.wait(10)
    third = Slow(path, "third")
    third.may_end.set()
    assert not third.holds.wait(0.2)
    second.may_end.set()
    for each in (first, second, third):
        each.join(10)
    assert [key.name for key in file.read(path)] == ["first", "second", "third"]


def test_it_is_whole_at_every_moment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written beside it, flushed, renamed, and the directory flushed: a crash leaves the old or the new."""
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def flushed(fd: int) -> None:
        calls.append("directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def renamed(self: Path, target: Path) -> Path:
        calls.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    add(path, make("a"))
    assert calls == ["file", "rename", "directory"]


def test_a_change_that_fails_leaves_it_as_it_was(path: Path) -> None:
    """And nothing beside it."""
    add(path, make("a"))

    def fail(_keys: file.Keys) -> file.Keys:
        raise KeysFileError("no")

    with pytest.raises(KeysFileError):
        file.change(path, fail)
    assert len(file.read(path)) == 1
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_link_to_it_stays_a_link(path: Path) -> None:
    """What it leads to is changed."""
    link = path.with_name("link.json")
    link.symlink_to(path)
    add(link, make("a"))
    assert link.is_symlink()
    assert len(file.read(path)) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"version": 2, "keys": []}',
        b'{"version": 1, "keys": [], "more": 1}',
        b'{"version": 1, "keys": [{"id": "12345678", "name": "a", "sha256": "", "scopes": [], "created": 1}]}',
    ],
)
def test_what_is_no_file_of_keys_is_refused_by_name(path: Path, content: bytes) -> None:
    """Saying which file, and what to do."""
    path.write_bytes(content)
    with pytest.raises(KeysFileError, match=r"keys\.json is no file of keys .*keys api add"):
        file.read(path)


def test_a_file_that_others_may_change_is_refused(path: Path) -> None:
    """They could add a key of their own."""
    path.chmod(0o620)
    with pytest.raises(KeysFileError, match="chmod 600"):
        file.read(path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(KeysFileError, match=r"gone\.json: No such file .*keys api add"):
        file.read(tmp_path / "gone.json")
