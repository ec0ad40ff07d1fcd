from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.stage.transcribe import manifest
from pipeline.stage.transcribe.manifest import Manifest, replacing


def test_a_file_is_read_once_while_size_and_mtime_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start-up does not hash gigabytes again."""
    weights = tmp_path / "base.pt"
    weights.write_bytes(b"weights")
    first = Manifest(tmp_path).sha256(weights)
    monkeypatch.setattr(manifest, "hash_file", lambda _: pytest.fail("read again"))

    assert hashlib.sha256(b"weights").hexdigest() == first == Manifest(tmp_path).sha256(weights)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """Another mtime is enough, also at the same size."""
    weights = tmp_path / "base.pt"
    weights.write_bytes(b"weights")
    Manifest(tmp_path).sha256(weights)
    weights.write_bytes(b"wEights")
    os.utime(weights, ns=(1, 1))

    assert hashlib.sha256(b"wEights").hexdigest() == Manifest(tmp_path).sha256(weights)


def test_the_cache_can_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in the cache go by name: mounted elsewhere they are still known."""
    old = tmp_path / "old"
    old.mkdir()
    (old / "base.pt").write_bytes(b"weights")
    digest = Manifest(old).sha256(old / "base.pt")
    new = old.rename(tmp_path / "new")
    monkeypatch.setattr(manifest, "hash_file", lambda _: pytest.fail("read again"))

    assert digest == Manifest(new).sha256(new / "base.pt")


def test_a_damaged_manifest_forgets_and_goes_on(tmp_path: Path) -> None:
    """Then files are hashed again."""
    weights = tmp_path / "base.pt"
    weights.write_bytes(b"weights")
    (tmp_path / "verified.json").write_text('{"seen": ')

    assert hashlib.sha256(b"weights").hexdigest() == Manifest(tmp_path).sha256(weights)


def test_a_cache_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    """Hashing needs no place to remember in."""
    weights = tmp_path / "base.pt"
    weights.write_bytes(b"weights")

    assert hashlib.sha256(b"weights").hexdigest() == Manifest(tmp_path / "absent").sha256(weights)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Whole or not at all, and nothing temporary stays."""
    target = tmp_path / "base.pt"
    target.write_bytes(b"old")

    def write() -> None:
        with replacing(target) as file:
            file.write(b"ne")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - our own
        write()
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("base.pt", b"old")]
