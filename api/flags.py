"""Settings and Options as command-line flags, environment variables and keys of a TOML file: one table, three doors."""

from __future__ import annotations

import types
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import click
from click.core import ParameterSource

from pipeline.errors import BadOptionsError
from pipeline.named import parse_named
from pipeline.options import MODELS, NAMES, Options
from pipeline.settings import ENV_PREFIX, Scope, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FLAG_OF = {"model": "model_size"}  # where a flag is not called like its field
_SHORT = {"output_format": "-f", "output_dir": "-o"}  # whisper's own
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_LAST_PORT = 65_535


class Command(click.Command):
    """A command whose booleans also take True or False, as whisper's CLI does, and whose flags take '-' for '_'."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite `--flag False` to `--no_flag`, then parse."""
        with _places_named(ctx):
            return super().parse_args(ctx, list(_spell_out(self, args)))


class Group(click.Group):
    """A group whose own booleans behave like Command's; without a subcommand it starts the service."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite booleans, then parse."""
        with _places_named(ctx):
            return super().parse_args(ctx, list(_spell_out(self, args)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find `start_service` too."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, cmd_name.replace("_", "-"))


@contextmanager
def _places_named(ctx: click.Context) -> Iterator[None]:
    """Say of an option that stands at the wrong side of the subcommand where it belongs."""
    try:
        yield
    except click.NoSuchOption as error:
        if place := _place_of(error.option_name, ctx):
            raise click.UsageError(f"{error.option_name} belongs {place}", ctx) from error
        if ctx.parent is None and not error.possibilities:  # click looks among the group's own
            raise click.NoSuchOption(error.option_name, possibilities=_all_flags(ctx), ctx=ctx) from error
        raise


def _place_of(flag: str, ctx: click.Context) -> str | None:
    """Say where a flag belongs that the command at hand does not have; None where it is nobody's."""
    root = ctx.find_root().command
    if ctx.parent:
        return f"before the subcommand {ctx.info_name}" if flag in _flags_of(root) else None
    commands = root.commands if isinstance(root, click.Group) else {}
    owner = next((name for name, each in commands.items() if flag in _flags_of(each)), None)
    return f"after a subcommand, as in: {owner} {flag}" if owner else None


def _all_flags(ctx: click.Context) -> list[str]:
    commands = ctx.command.commands.values() if isinstance(ctx.command, click.Group) else ()
    return sorted(flag for each in (ctx.command, *commands) for flag in _flags_of(each))


def _flags_of(command: click.Command) -> set[str]:
    return {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)}


def normalise(token: str) -> str:
    """Take '-' for '_' in flags and commands alike (click's token_normalize_func)."""
    return token.replace("-", "_")


class EnvOption(click.Option):
    """An option whose variable is ignored where a link such as Kubernetes injects one stands for a number."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the variable's value, unless it is a `tcp://…` of a service that happens to be called whisper."""
        value = super().resolve_envvar_value(ctx)
        return None if value and "://" in value and self.type.name in ("integer", "float") else value


class Optional(click.ParamType[Any]):
    """A value or None, as whisper's CLI spells it."""

    def __init__(self, inner: click.ParamType[Any]) -> None:
        self.name = inner.name
        self._inner = inner

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert 'None' to None, everything else by the inner type."""
        return None if value in (None, "None", "none", "") else self._inner.convert(value, param, ctx)


def setting_flags(*scopes: Scope) -> Callable[[Any], Any]:
    """Decorate a command with the settings of these scopes."""
    chosen = [each for each in fields(Settings) if each.metadata.get("scope") in scopes]
    return _decorate(chosen, get_type_hints(Settings))


def option_flags(command: Any) -> Any:
    """Decorate a command with every transcription option."""
    command = _decorate(list(fields(Options)), get_type_hints(Options))(command)
    return click.option(
        "--fp16",
        type=click.BOOL,
        hidden=True,
        default=None,
        envvar=f"{ENV_PREFIX}FP16",
        help="alias: False is --dtype float32",
    )(command)


def _decorate(chosen: list[Field[Any]], hints: dict[str, Any]) -> Callable[[Any], Any]:
    def apply(command: Any) -> Any:
        for each in reversed(chosen):
            command = _option(each, hints[each.name])(command)
        return command

    return apply


def _option(each: Field[Any], hint: Any) -> Any:
    flag = _FLAG_OF.get(each.name, each.name)
    common: dict[str, Any] = {
        "cls": EnvOption,
        "help": each.metadata["help"],
        "default": None if each.default is MISSING else _shown(each.default),
        "show_default": each.default not in (None, False),
        "envvar": each.metadata.get("env") or f"{ENV_PREFIX}{flag.upper()}",
        "hidden": each.metadata.get("hidden", False),
    }
    if hint is bool:
        opposite = flag.removeprefix("no_") if flag.startswith("no_") else f"no_{flag}"
        return click.option(f"--{flag}/--{opposite}", each.name, **common)
    extra = ["--model"] if each.name == "model" else []
    extra += [_SHORT[each.name]] if each.name in _SHORT else []
    return click.option(f"--{flag}", *extra, each.name, type=_type(hint), **common)


def _shown(default: Any) -> Any:
    return ",".join(default) if isinstance(default, tuple) else default


def _type(hint: Any) -> click.ParamType[Any]:
    if get_origin(hint) is Literal:
        return click.Choice(get_args(hint), case_sensitive=False)
    if get_origin(hint) in (Union, types.UnionType):
        return Optional(_type(get_args(hint)[0]))
    if hint is Path:
        return click.Path(path_type=Path)
    numbers: dict[Any, click.ParamType[Any]] = {int: click.INT, float: click.FLOAT}
    return numbers.get(hint, click.STRING)


def _spell_out(command: click.Command, args: list[str]) -> Iterator[str]:
    """Yield args with a boolean's separate or joined True/False replaced by the flag that says it."""
    switches = _switches(command)
    rest = iter(range(len(args)))
    for at in rest:
        name, joined, value = args[at].partition("=")
        opposite = switches.get(normalise(name))
        if args[at] == "--":
            yield from args[at:]
            return
        if opposite is None:
            yield args[at]
            continue
        if not joined and args[at + 1 : at + 2] and args[at + 1].lower() in ("true", "false"):
            value = args[next(rest)]
        yield name if _truth(name, value or "true") else opposite


def _switches(command: click.Command) -> dict[str, str]:
    """Return each boolean flag of the command with the flag that says the opposite."""
    pairs: dict[str, str] = {}
    for param in command.params:
        if isinstance(param, click.Option) and param.is_flag and param.secondary_opts:
            yes, no = param.opts[0], param.secondary_opts[0]
            pairs |= {normalise(yes): no, normalise(no): yes}
    return pairs


def _truth(name: str, value: str) -> bool:
    if value.lower() not in _TRUTH:
        raise click.BadParameter(f"{value!r} is not True or False", param_hint=name)
    return _TRUTH[value.lower()]


def build_settings(ctx: click.Context) -> tuple[Settings, dict[str, Any]]:
    """Return the Settings of this call, and the transcription options that its command line named."""
    values: dict[str, Any] = {}
    named: list[str] = []
    for each in (ctx.parent, ctx):
        for name, value in each.params.items() if each else ():
            values[name] = value
            if each and each.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                named.append(name)
    raw = {name: values[name] for name in NAMES if name in values}
    if ctx.get_parameter_source("word_timestamps") is ParameterSource.DEFAULT:
        del raw["word_timestamps"]  # nobody's word: options that need words imply it
    try:
        options = parse_named(raw)
    except BadOptionsError as error:
        raise click.UsageError(str(error), ctx) from error
    if options.get("model", MODELS[0]) not in MODELS:
        options["model"] = str(absolute(Path(options["model"])))  # the stage starts in another folder
    if values.get("fp16") is False and values.get("dtype") == "auto":
        values["dtype"] = "float32"
    known = {each.name for each in fields(Settings)} - {"options"}
    given = {name: _checked(name, value) for name, value in values.items() if name in known}
    settings = Settings(**given, options=Options(**options))
    return settings, {name: options[name] for name in named if name in options}


def absolute(path: Path) -> Path:
    """Return a path that a person gave as an absolute one, `~` read as shells do."""
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise click.UsageError(f"{path}: there is no such home directory; give the whole path") from error


def _checked(name: str, value: Any) -> Any:
    """Return the value of a setting, a path made absolute; no number of them may be below 0."""
    if isinstance(value, Path):
        return absolute(value)
    if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
        raise click.UsageError(f"--{name} must be a number from 0 on, not {value}")
    if name == "port" and value > _LAST_PORT:
        raise click.UsageError(f"--port must be at most {_LAST_PORT}, not {value}")
    return value
