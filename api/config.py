"""`--config`: a TOML file of options, laid under the environment and the flags of every command."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, cast

import click

from api.flags import normalise
from pipeline.languages import closest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def load_config(ctx: click.Context, _param: click.Parameter, path: Path | None) -> Path | None:
    """Lay a TOML file's keys under the environment and flags of every command (click's default_map)."""
    if path is None:
        return None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.BadParameter(f"{path}: {error}") from error
    group = cast("click.Group", ctx.command)
    keys = _by_param(path, table, group)
    ctx.default_map = _everywhere(keys, group)
    return path


def _everywhere(keys: dict[str, Any], group: click.Group) -> dict[str, Any]:
    """Return the values for a group and all commands below it, as click wants them."""
    return keys | {
        name: _everywhere(keys, each) if isinstance(each, click.Group) else keys
        for name, each in group.commands.items()
    }


def parameters(command: click.Command) -> Iterator[click.Parameter]:
    """Yield the parameters of a command and of all below it."""
    yield from command.params
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        yield from parameters(each)


def _by_param(path: Path, table: dict[str, Any], group: click.Group) -> dict[str, Any]:
    """Return the file's values by parameter name; an unknown key is an error that names the closest."""
    known = {
        opt.lstrip("-"): param.name
        for param in parameters(group)
        if isinstance(param, click.Option)
        for opt in param.opts
    }
    keys: dict[str, Any] = {}
    for key, value in table.items():
        name = known.get(normalise(key))
        if name is None:
            raise click.BadParameter(f"{path}: unknown key {key!r}.{closest(key, sorted(known))}")
        keys[name] = _as_text(path, key, value)
    return keys


def _as_text(path: Path, key: str, value: Any) -> str:
    """Return a value of the file as the command line has it, to be checked in the same way."""
    if isinstance(value, list) and all(isinstance(each, (str, int)) for each in value):
        return ",".join(map(str, value))
    if isinstance(value, (str, int, float)):
        return str(value)
    raise click.BadParameter(f"{path}: {key} must be text, a number, true or false, or a list of such")
