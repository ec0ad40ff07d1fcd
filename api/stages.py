"""The local stage processes: one a device, started, watched and started again with backoff."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pipeline
from pipeline.errors import GpuUnavailableError
from pipeline.settings import queue_place
from pipeline.spool import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.settings import Settings

logger = logging.getLogger(__name__)

PROJECT = Path(pipeline.__file__).parent.parent  # so that `-m pipeline…` is found wherever we were started
BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
STEADY_S = 60.0  # running this long forgives earlier deaths
LOOK_S = 0.25


def devices(settings: Settings) -> list[str]:
    """Return the devices to run a stage on: cpu, or every CUDA device, as a child with torch sees them.

    Raises GpuUnavailableError with torch's own reason when --use_gpu finds none.
    """
    if not settings.use_gpu:
        return ["cpu"]
    command = [sys.executable, "-m", "pipeline.stage.transcribe.devices"]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if answer.returncode:
        raise GpuUnavailableError(answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else "")
    found: list[str] = json.loads(answer.stdout)
    return found


def supervisor_command(settings: Settings, endpoint: str, device: str) -> list[str]:
    """Return the command line of one stage's supervisor."""
    flags = {
        "connect": endpoint,
        "workdir": settings.workdir,
        "spool": queue_place(settings).folder / FOLDER,
        "cache": settings.path2whisper_cache,
        "device": device,
        "dtype": settings.dtype,
        "threads": settings.threads or len(os.sched_getaffinity(0)),
        "idle_seconds": settings.idle_seconds,
        "engine": settings.engine,
        "log_level": settings.log_level,
        "log_format": settings.log_format,
    }
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "pipeline.stage.supervise", *words]


class StageProcess:
    """One supervisor process. It dies with us: its standard input ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._due = 0.0
        self._deaths = 0

    def step(self, now: float) -> float:
        """Start the process if it is due, note its death."""
        if self._process is None:
            if now >= self._due:
                self._start(now)
        elif (status := self._process.poll()) is not None:
            self._bury(now, status)
        return LOOK_S

    def stop(self, timeout: float = 5.0) -> None:
        """End the process by closing its standard input; kill it when it does not go."""
        process, self._process, self._due = self._process, None, float("inf")
        if process is None:
            return
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            logger.warning(
                "the stage (pid %d) did not stop within %.0f s and is killed", process.pid, timeout
            )
            process.kill()
            process.wait()

    def _start(self, now: float) -> None:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, cwd=PROJECT)  # noqa: S603 - our own
        self._started = now
        logger.debug("stage started (pid %d)", self._process.pid)

    def _bury(self, now: float, status: int) -> None:
        self._process = None
        self._deaths = 0 if now - self._started > STEADY_S else self._deaths + 1
        wait = BACKOFF_S[min(self._deaths, len(BACKOFF_S) - 1)]
        self._due = now + wait
        logger.error("the stage ended (status %d); it is started again in %.0f s", status, wait)
