"""The command line: options -> Settings -> call."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from api import headers, limits, mounting
from api.config import load_config
from api.flags import Command, Group, build_settings, normalise, option_flags, setting_flags
from api.keys.commands import keys
from pipeline import VERSION, logs
from pipeline.errors import PipelineError
from pipeline.ingest import cron
from pipeline.options import MODELS
from pipeline.settings import parse_work_hours

if TYPE_CHECKING:
    from pipeline.settings import Settings

CONTEXT = {"token_normalize_func": normalise, "help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=Group, invoke_without_command=True, context_settings=CONTEXT)
@setting_flags("global")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    is_eager=True,
    envvar="WHISPER_CONFIG",
    callback=load_config,
    help="a TOML file with any of these options as keys",
)
@click.version_option(VERSION, message="%(version)s")
@click.pass_context
def cli(ctx: click.Context, /, **_global: Any) -> None:
    """Transcribe what is dropped into a folder. Without a command: start-service."""
    if ctx.invoked_subcommand is None:
        ctx.exit(
            start_service.main(args=[], prog_name="start-service", parent=ctx, standalone_mode=False) or 0
        )


@cli.command("start-service", cls=Command)
@setting_flags("service", "keys", "output")
@option_flags
@click.pass_context
def start_service(ctx: click.Context, /, **_flags: Any) -> None:
    """Run the whole service: API, watcher, rescans, queue, relay and stages."""
    from api.serve import serve

    settings, _named = _settings(ctx)
    serve(settings)


@cli.command(cls=Command)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@setting_flags("output")
@option_flags
@click.pass_context
def transcribe(ctx: click.Context, /, paths: tuple[Path, ...], **_flags: Any) -> None:
    """Transcribe files or directories now; run again, it does only what is not done."""
    from api.oneshot import transcribe as run

    settings, named = _settings(ctx, quiet=True)
    ctx.exit(run(settings, paths, named))


@cli.command(cls=Command)
@click.argument("what", required=False)
@click.option("--failed", is_flag=True, help="only the files that failed, and why")
@click.pass_context
def status(ctx: click.Context, /, what: str | None, *, failed: bool) -> None:
    """Show the tasks, or one task or path with its files, the service running or not."""
    from api.views import show_status

    settings, _named = _settings(ctx)
    show_status(settings, what, only_failed=failed)


@cli.command(cls=Command)
@click.argument("what")
@click.pass_context
def retry(ctx: click.Context, /, what: str) -> None:
    """Try the failed files of a task (by id or path) again."""
    from api.views import act

    act(_settings(ctx)[0], "retry", what)


@cli.command(cls=Command)
@click.argument("what")
@click.pass_context
def cancel(ctx: click.Context, /, what: str) -> None:
    """Cancel a task (by id or path); files already done stay."""
    from api.views import act

    act(_settings(ctx)[0], "cancel", what)


@cli.command(cls=Command)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@setting_flags("output")
@click.pass_context
def forget(ctx: click.Context, /, paths: tuple[Path, ...], **_flags: Any) -> None:
    """Erase transcripts and everything remembered of these sources; never the sources."""
    from api.views import forget as run

    run(_settings(ctx)[0], paths)


@cli.command("fetch-model", cls=Command)
@click.argument("name", type=click.Choice(MODELS))
@click.pass_context
def fetch_model(ctx: click.Context, /, name: str) -> None:
    """Put verified weights into the cache, so that nothing is downloaded later."""
    from api.stages import PROJECT

    cache = str(_settings(ctx)[0].path2whisper_cache)
    command = [sys.executable, "-m", "pipeline.stage.transcribe.weights", name, "--cache", cache]
    ctx.exit(subprocess.run(command, cwd=PROJECT, check=False).returncode)  # noqa: S603 - our own


@cli.command(cls=Command)
@setting_flags("output")
@option_flags
@click.pass_context
def doctor(ctx: click.Context, /, **_flags: Any) -> None:
    """Check what the service needs, one line each; exit 1 if anything is wrong."""
    from api.doctor import examine

    findings = examine(_settings(ctx)[0])
    for finding in findings:
        click.echo(f"{'ok  ' if finding.good else 'FAIL'} {finding.name:9} {finding.text}")
    ctx.exit(0 if all(finding.good for finding in findings) else 1)


cli.add_command(keys)


def _settings(ctx: click.Context, *, quiet: bool = False) -> tuple[Settings, dict[str, Any]]:
    """Return what was told; quiet: only warnings are logged where no level was asked for."""
    settings, named = build_settings(ctx)
    if quiet and ctx.parent and ctx.parent.get_parameter_source("log_level") is ParameterSource.DEFAULT:
        settings = replace(settings, log_level="warning")
    mounting.normalise(settings.mounting_path)
    headers.parse_origins(settings.cors_origins or "")
    cron.parse(settings.rescan_cron)
    if settings.work_hours:
        parse_work_hours(settings.work_hours)
    if settings.rate_limit:
        limits.parse_rate(settings.rate_limit)
    logs.configure(settings.log_level, settings.log_format)
    return settings, named


def main() -> None:
    """Run the program; our own errors become one line and an exit code, never a traceback."""
    try:
        cli.main(prog_name="whisper-transcription")
    except PipelineError as error:
        click.echo(f"whisper-transcription: {error}", err=True)
        sys.exit(error.exit_code)
