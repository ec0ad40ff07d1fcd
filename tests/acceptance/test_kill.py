"""kill -9 of each process in the middle of a file: after it every file is done once, whole, from where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.acceptance.harness import Service, tone, until

SECONDS = 150  # five windows and more


def progress(service: Service, task: str) -> float:
    """Return how far the one file of a task is, as the queue has it."""
    files = service.task(task)["files"]
    return float(files[0]["progress"]) if files else 0.0


@pytest.mark.parametrize("victim", ["core", "supervisor", "child"])
def test_what_was_acknowledged_is_not_transcribed_twice(
    service: Callable[..., Service], tmp_path: Path, victim: str
) -> None:
    """A crash costs one batch, not the file."""
    log = tmp_path / "heard.log"
    env = {"WHISPER_FAKE_DELAY": "0.7", "WHISPER_FAKE_BATCH": "1", "WHISPER_FAKE_LOG": str(log)}
    running = service("--no_vad", env=env).start()
    audio = tone(running.workdir / "long" / "one.wav", SECONDS, 321)
    task = until(lambda: running.tasks("long"))[0]["task_id"]
    until(lambda: progress(running, task) > 0.3)
    acknowledged = progress(running, task)
    begun = log.read_text().splitlines()
    running.kill(victim)
    if victim == "core":
        until(lambda: not _stages_left(running))
        running.start()
    answer = running.ended(task)
    assert answer["files"][0]["status"] == "done"
    result = json.loads(audio.with_suffix(".json").read_text())
    assert len(result["segments"]) >= SECONDS // 30
    windows = log.read_text().splitlines()
    twice = {window for window in windows if windows.count(window) > 1}
    done_before = set(begun[: int(acknowledged * len(set(windows)))])
    assert not twice & done_before
    assert len(twice) <= 2  # what was on the device, and perhaps one on its way
    starts = [segment["start"] for segment in result["segments"]]
    assert starts == sorted(set(starts))


def _stages_left(service: Service) -> bool:
    return any(
        str(service.workdir) in each.info["cmdline"]
        for each in psutil.process_iter(["cmdline"])
        if each.info["cmdline"]
    )


def test_sigterm_gives_work_back_uncharged_and_exits_zero(service: Callable[..., Service]) -> None:
    """Stopping costs nobody an attempt."""
    running = service("--no_vad", env={"WHISPER_FAKE_DELAY": "0.5"}).start()
    tone(running.workdir / "long" / "one.wav", 120, 322)
    task = until(lambda: running.tasks("long"))[0]["task_id"]
    until(lambda: running.task(task)["task_status"] == "running")
    start = time.monotonic()
    assert running.stop(25) == 0
    assert time.monotonic() - start < 25
    running.start()
    answer = running.ended(task)
    assert answer["files"][0]["attempts"] == 1
    assert answer["task_status"] == "completed"
