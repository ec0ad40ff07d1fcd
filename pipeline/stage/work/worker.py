"""The killable child: a process with one stage, at the end of its supervisor's channel."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.logs import configure
from pipeline.spool import Roots
from pipeline.stage.transcribe.load import Loader
from pipeline.stage.work.inbox import Channel, Inbox
from pipeline.stage.work.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
NICENESS = 5  # above the core's, FFmpeg's too: where cores are few, questions are answered first


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker until it is told to drain or its channel ends."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.stage.work.worker")
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--workdir", required=True)
    parser.add_argument(
        "--spool", type=os.fsencode, help="where what clients send lies, if not in the workdir"
    )
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--idle_seconds", type=float, default=300.0)
    parser.add_argument("--log_level", default="info")
    parser.add_argument("--log_format", default="text")
    parser.add_argument("--engine", choices=["whisper", "fake"], default="whisper")
    chosen, _ = parser.parse_known_args(arguments)  # the supervisor passes its own flags on
    _die_with_supervisor()
    os.nice(NICENESS)
    configure(chosen.log_level, chosen.log_format)
    inbox = Inbox()
    channel = Channel(Connection(chosen.channel), inbox)
    loader = Loader(
        kind=chosen.engine,
        cache=chosen.cache,
        device=chosen.device,
        dtype=chosen.dtype,
        threads=chosen.threads,
    )
    stage = Stage(
        Roots(os.fsencode(chosen.workdir), chosen.spool), loader, channel, inbox, chosen.idle_seconds
    )
    channel.start()
    while stage.exit_code is None:
        inbox.wait(stage.step(time.monotonic()))
    stage.close()
    return stage.exit_code


def _die_with_supervisor() -> None:
    """Ask the kernel (Linux) to kill this process with the one that started it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
