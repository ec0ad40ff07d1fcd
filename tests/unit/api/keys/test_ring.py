"""Keys in memory: added, revoked and broken while the service runs."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.keys import file
from api.keys.key import Scope, new_key
from api.keys.ring import MARK_S, Ring
from pipeline.errors import KeysFileError

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file.create(tmp_path / "keys.json")
    return tmp_path / "keys.json"


def add(path: Path, name: str = "a") -> str:
    key, secret = new_key(name, {Scope.READ}, NOW)
    file.change(path, lambda known: (*known, key))
    return secret


def revoke(path: Path, name: str = "a") -> None:
    file.change(path, lambda known: tuple(key for key in known if key.name != name))


def test_a_key_added_later_is_good_without_a_restart(path: Path) -> None:
    """At the next look at the file."""
    ring = Ring(path)
    secret = add(path)
    assert ring.of_secret(secret) is None
    ring.step(0.0)
    assert ring.of_secret(secret).name == "a"


def test_a_key_revoked_is_refused_without_a_restart(path: Path) -> None:
    """By its secret, and by its id: what browsers carry."""
    secret = add(path)
    ring = Ring(path)
    key_id = ring.of_secret(secret).id
    assert ring.of_id(key_id)
    revoke(path)
    ring.step(0.0)
    assert (ring.of_secret(secret), ring.of_id(key_id)) == (None, None)


@pytest.mark.parametrize("content", [b"", b"{", None])
def test_a_file_that_breaks_leaves_the_keys_and_is_complained_of(
    path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Once in the log, and in /readyz until it is mended."""
    secret = add(path)
    ring = Ring(path)
    whole = path.read_bytes()
    path.unlink() if content is None else path.write_bytes(content)
    ring.step(0.0)
    ring.step(1.0)
    assert ring.of_secret(secret)
    assert str(path) in ring.trouble
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    path.write_bytes(whole)
    path.chmod(0o600)
    ring.step(2.0)
    assert ring.trouble is None


def test_a_file_that_is_broken_at_start_is_refused(path: Path) -> None:
    """The service does not begin without the keys that it was told to ask for."""
    path.write_bytes(b"{")
    with pytest.raises(KeysFileError):
        Ring(path)


def test_when_a_key_was_used_is_written_once_a_minute_at_most(path: Path) -> None:
    """And never where it is looked up."""
    secret = add(path)
    ring = Ring(path)
    ring.used(ring.of_secret(secret))
    assert file.read(path)[0].last_used is None
    ring.step(0.0)
    first = file.stamp(path)
    assert (datetime.now(UTC) - file.read(path)[0].last_used).total_seconds() < 60
    ring.used(ring.of_secret(secret))
    ring.step(MARK_S - 1)
    assert file.stamp(path) == first
    ring.step(MARK_S)
    assert file.stamp(path) != first


def test_a_key_added_meanwhile_is_kept_when_use_is_written(path: Path) -> None:
    """The file is read again under its lock."""
    secret = add(path)
    ring = Ring(path)
    ring.used(ring.of_secret(secret))
    ring._stamp = None
    add(path, "b")
    ring._mark()
    assert [key.name for key in file.read(path)] == ["a", "b"]


def test_use_of_a_key_in_a_read_only_place_does_no_harm(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mounted secret, for instance."""
    secret = add(path)
    ring = Ring(path)

    def refuse(*_: object) -> None:
        raise KeysFileError("read-only")

    monkeypatch.setattr(file, "change", refuse)
    ring.used(ring.of_secret(secret))
    ring.step(0.0)
    assert ring.of_secret(secret)
    assert ring.trouble is None


def test_the_command_line_of_this_machine_has_a_key_that_lies_in_no_file(path: Path) -> None:
    """With every scope, another one at each start; its use is not written."""
    ring, other = Ring(path), Ring(path)
    own = ring.of_secret(ring.own_secret)
    assert own.scopes == set(Scope)
    assert other.of_secret(ring.own_secret) is None
    before = file.stamp(path)
    ring.used(own)
    ring.step(0.0)
    assert file.stamp(path) == before
