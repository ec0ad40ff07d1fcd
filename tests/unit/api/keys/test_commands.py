"""`keys api add`, `list` and `revoke`."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from api.cli import cli
from api.keys import file
from api.keys.key import Scope, is_whole, matching
from pipeline.errors import ConflictError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def call(place: Path) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(cli, ["keys", "api", *words, "--api_keys_file", str(place)])


def test_a_key_is_printed_once_alone_and_its_file_made(call: Callable[..., Result], place: Path) -> None:
    """On standard output, so that a script can take it; the file is ours alone and holds a hash."""
    answer = call("add", "--name", "laptop")
    secret = answer.stdout.strip()
    assert is_whole(secret)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert secret not in place.read_text()
    key = matching(file.read(place), secret)
    assert (key.name, key.scopes, key.last_used) == ("laptop", {Scope.READ, Scope.WRITE}, None)
    assert "laptop" in answer.stderr


def test_scopes_are_those_that_were_named(call: Callable[..., Result], place: Path) -> None:
    """In any order; one that is none is refused."""
    call("add", "--name", "all", "--scopes", "admin, read,write")
    assert file.read(place)[0].scopes == set(Scope)
    answer = call("add", "--name", "b", "--scopes", "root")
    assert answer.exit_code == 2
    assert "read, write, admin" in answer.stderr


def test_names_are_unique(call: Callable[..., Result]) -> None:
    """Else nobody would know which to revoke."""
    call("add", "--name", "a")
    assert isinstance(call("add", "--name", "a").exception, ConflictError)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 101])
def test_a_name_is_a_line_that_people_can_read(call: Callable[..., Result], place: Path, name: str) -> None:
    """And nothing is made for another."""
    assert isinstance(call("add", "--name", name).exception, UsageError)
    assert not place.exists()


def test_the_list_shows_no_secret(call: Callable[..., Result], place: Path) -> None:
    """Who, what for, since when, used when: each key in a line."""
    secret = call("add", "--name", "laptop").stdout.strip()
    shown = call("list").stdout
    assert file.read(place)[0].id in shown
    assert "laptop  read,write" in shown
    assert "never" in shown
    assert secret[3:20] not in shown
    assert file.read(place)[0].sha256[:8] not in shown


def test_a_key_is_revoked_by_name_or_id(call: Callable[..., Result], place: Path) -> None:
    """And only that one."""
    for name in "abc":
        call("add", "--name", name)
    call("revoke", "a")
    call("revoke", file.read(place)[-1].id)
    assert [key.name for key in file.read(place)] == ["b"]
    assert isinstance(call("revoke", "a").exception, NotFoundError)


def test_the_file_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the flag, its variable or the config file."""
    monkeypatch.delenv("WHISPER_API_KEYS_FILE", raising=False)
    answer = CliRunner().invoke(cli, ["keys", "api", "list"])
    assert isinstance(answer.exception, UsageError)
    assert "WHISPER_API_KEYS_FILE" in str(answer.exception)


def test_the_config_file_names_it_too(tmp_path: Path, place: Path) -> None:
    """As for start-service."""
    config = tmp_path / "whisper.toml"
    config.write_text(f'api_keys_file = "{place}"\n')
    CliRunner().invoke(cli, ["--config", str(config), "keys", "api", "add", "--name", "a"])
    assert len(file.read(place)) == 1
