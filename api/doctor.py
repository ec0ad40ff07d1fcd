"""`doctor`: one line for each thing the service needs, and what to do about what is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from api.reach import find_service
from api.stages import PROJECT, devices
from pipeline.errors import PipelineError
from pipeline.mounts import is_remote
from pipeline.queue.database import open_database, shown
from pipeline.settings import prepare_workdir, queue_place
from pipeline.stage.decode.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.settings import Settings

LOW_DISK = 1 << 30  # bytes
FEW_WATCHES = 8192


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, whether it is right, and what was seen or what to do."""

    name: str
    good: bool
    text: str


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; a failing check never hides the others."""
    checks: dict[str, Callable[[Settings], str]] = {
        "ffmpeg": _ffmpeg,
        "model": _model,
        "gpu": _gpu,
        "workdir": _workdir,
        "database": _database,
        "inotify": _inotify,
        "disk": _disk,
    }
    return [_examined(name, check, settings) for name, check in checks.items()]


def _examined(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name, True, check(settings))
    except (PipelineError, OSError, subprocess.SubprocessError) as error:
        return Finding(name, False, str(error))


def _ffmpeg(_settings: Settings) -> str:
    binary = ffmpeg_binary()
    answer = subprocess.run([binary, "-version"], capture_output=True, text=True, check=True)  # noqa: S603 - found by us
    return f"{binary} ({answer.stdout.splitlines()[0].removeprefix('ffmpeg version ').split(' ')[0]})"


def _model(settings: Settings) -> str:
    """Look for the weights in the cache without fetching any: a child, since hashing code may need torch."""
    name, cache = settings.options.model, str(settings.path2whisper_cache)
    command = [sys.executable, "-m", "pipeline.stage.transcribe.weights", name, "--cache", cache, "--check"]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if answer.returncode:
        raise PipelineError(answer.stderr.strip().splitlines()[-1])
    return f"{name}: {answer.stdout.strip().splitlines()[-1]}"


def _gpu(settings: Settings) -> str:
    if not settings.use_gpu:
        return "not asked for (--use_gpu)"
    return ", ".join(devices(settings))


def _workdir(settings: Settings) -> str:
    prepare_workdir(settings)
    kind = "a network or FUSE mount: polled" if is_remote(settings.workdir) else "local"
    return f"{settings.workdir} is writable ({kind})"


def _database(settings: Settings) -> str:
    place = queue_place(settings)
    if service := find_service(place.folder):
        return f"{shown(place.url)}, served at {service.url}"
    database = open_database(place.url)
    try:
        notes = [note for note in (place.note, database.note) if note]
        return "; ".join([f"{shown(place.url)} ({database.journal})", *notes])
    finally:
        database.close()


def _inotify(settings: Settings) -> str:
    if is_remote(settings.workdir):
        return "not used: polling"
    limit = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    if limit < FEW_WATCHES:
        raise PipelineError(
            f"only {limit} watches allowed: raise sysctl fs.inotify.max_user_watches (e.g. to 524288)"
        )
    return f"{limit} watches allowed"


def _disk(settings: Settings) -> str:
    place = settings.output_dir or settings.workdir
    free = shutil.disk_usage(place if place.exists() else place.parent).free
    if free < LOW_DISK:
        raise PipelineError(
            f"only {free >> 20} MiB free under {place}: make room, or give an --output_dir elsewhere"
        )
    return f"{free >> 30} GiB free under {place}"
