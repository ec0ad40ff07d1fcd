"""`make demo` when all does not go well: it says why, exits with 1 and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.acceptance.harness import ROOT, until


@contextmanager
def demo(folder: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo with the fake engine and its temporary files in this folder."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/demo.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder), "WHISPER_ENGINE": "fake"} | env,
    )
    try:
        yield process
    finally:
        process.kill()


def last_words(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return how it ended and what it said of that."""
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said, said
    return process.returncode, said


def test_a_service_that_does_not_start_is_told_in_its_own_words(tmp_path: Path) -> None:
    """Here without FFmpeg."""
    no_ffmpeg = {"PATH": str(tmp_path), "IMAGEIO_FFMPEG_EXE": str(tmp_path / "none")}
    with demo(tmp_path, **no_ffmpeg) as process:
        code, said = last_words(process)
    assert code == 1
    assert "demo: the service ended with 3:" in said
    assert "install the 'ffmpeg' package" in said
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_dies_on_the_way_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    """Though what the demo sees is a connection that breaks: it was asking."""
    with demo(tmp_path) as process:
        assert process.stdout
        until(lambda: "the service answers at" in process.stdout.readline())
        service = psutil.Process(process.pid).children()[0]
        service.send_signal(signal.SIGSTOP)
        until(lambda: any(each.status == "ESTABLISHED" for each in connections(process)))
        service.kill()
        code, said = last_words(process)
    assert code == 1
    assert "demo: the service ended with -9:" in said
    assert "INFO    serving" in said
    assert list(tmp_path.iterdir()) == []


def connections(process: subprocess.Popen[str]) -> list[Any]:
    """Return the connections of the demo's own process."""
    return psutil.Process(process.pid).net_connections("tcp")
