"""`keys api add`, `list` and `revoke`: the file of keys at the command line, the service running or not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from api.flags import Command, Group, absolute, setting_flags
from api.keys import file
from api.keys.key import Scope, new_key
from api.tables import print_table
from pipeline.errors import ConflictError, NotFoundError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


class Scopes(click.ParamType[frozenset[Scope]]):
    """A comma list of scopes."""

    name = "scopes"

    def convert(
        self, value: str | frozenset[Scope], param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[Scope]:
        """Return the set that was named."""
        if isinstance(value, frozenset):
            return value
        words = {word.strip() for word in value.split(",")}
        if words - set(Scope):
            self.fail(f"{value!r}: give a comma list of {', '.join(Scope)}", param, ctx)
        return frozenset(map(Scope, words))


@click.group(cls=Group)
def keys() -> None:
    """Say who may ask this service."""


@keys.group("api", cls=Group)
def api() -> None:
    """Keys of the HTTP API, in the file that start-service is given."""


@api.command(cls=Command)
@setting_flags("keys")
@click.option("--name", required=True, help="whose it is, for people")
@click.option(
    "--scopes", type=Scopes(), default="read,write", show_default=True, help="comma list; admin is the third"
)
def add(api_keys_file: Path | None, name: str, scopes: frozenset[Scope]) -> None:
    """Make a key and print it, this once: the file keeps a hash only."""
    path = _given(api_keys_file)
    key, secret = new_key(_checked(name), scopes, datetime.now(UTC).replace(microsecond=0))

    def joined(known: file.Keys) -> file.Keys:
        if any(name in (each.name, each.id) for each in known):
            raise ConflictError(f"there is a key {name!r} already; revoke it first, or choose another name")
        return (*known, key)

    file.create(path)
    file.change(path, joined)
    click.echo(f"key {key.id} ({name}: {_words(scopes)}); it is shown only now:", err=True)
    click.echo(secret)


@api.command("list", cls=Command)
@setting_flags("keys")
def list_(api_keys_file: Path | None) -> None:
    """Show the keys: names, scopes, when they were made and used last."""
    rows = [
        (key.id, key.name, _words(key.scopes), _moment(key.created), _moment(key.last_used) or "never")
        for key in file.read(_given(api_keys_file))
    ]
    print_table("key", "name", "scopes", "created", "last used", rows=rows)


@api.command(cls=Command)
@setting_flags("keys")
@click.argument("which", metavar="ID|NAME")
def revoke(api_keys_file: Path | None, which: str) -> None:
    """Refuse a key from now on; a running service notices within two seconds."""
    path = _given(api_keys_file)

    def without(known: file.Keys) -> file.Keys:
        rest = tuple(key for key in known if which not in (key.id, key.name))
        if rest == known:
            raise NotFoundError(f"there is no key {which!r} in {path}")
        return rest

    file.change(path, without)
    click.echo(f"{which}: revoked")


def _given(path: Path | None) -> Path:
    if path is None:
        raise UsageError("name the file of keys: --api_keys_file PATH, or the variable WHISPER_API_KEYS_FILE")
    return absolute(path)


def _checked(name: str) -> str:
    if not name.isprintable() or not 0 < len(name.strip()) <= 100:  # noqa: PLR2004 - as Key has it
        raise UsageError(f"--name {name!r}: give a name of one to a hundred characters")
    return name


def _words(scopes: frozenset[Scope]) -> str:
    return ",".join(scope for scope in Scope if scope in scopes)


def _moment(at: datetime | None) -> str:
    return at.astimezone().isoformat(" ", "seconds") if at else ""
