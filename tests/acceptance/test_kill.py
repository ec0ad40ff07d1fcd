"""kill -9 of each process in the middle of a file: after it every file is done once, whole, from where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import psutil
import pytest

from tests.acceptance.harness import Service, tone, until

SECONDS = 150  # five windows and more


def heard(service: Service) -> list[str]:
    """Return what the fake engine logged: one line a window it transcribed."""
    return [line for line in (service.workdir.parent / "heard.log").read_text().splitlines() if line]


@pytest.mark.parametrize("victim", ["core", "supervisor", "child"])
def test_what_was_acknowledged_is_not_transcribed_twice(service: Callable[..., Service], victim: str) -> None:
    """A crash costs one batch, not the file."""
    log = None
    running = service("--no_vad")
    log = running.workdir.parent / "heard.log"
    running._env |= {"WHISPER_FAKE_DELAY": "0.7", "WHISPER_FAKE_LOG": str(log)}
    running.start()
    audio = tone(running.workdir / "long" / "one.wav", SECONDS, 321)
    task = until(lambda: running.tasks("long"), 20)[0]["task_id"]
    until(lambda: running.task(task)["files"][0]["progress"] > 0.3, 30)
    saved = running.task(task)["files"][0]["progress"]
    before = heard(running)
    running.kill(victim)
    if victim == "core":
        until(lambda: not _stages_left(running), 10)
        running.start()
    answer = running.ended(task, 60)
    assert answer["files"][0]["status"] == "done"
    result = json.loads(audio.with_suffix(".json").read_text())
    assert len(result["segments"]) >= SECONDS // 30
    again = len(heard(running)) - len(set(heard(running)))
    in_flight = len(before) - int(saved * SECONDS / 30)
    assert again <= max(in_flight, 1) + 1, (saved, before, heard(running))
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
    task = until(lambda: running.tasks("long"), 20)[0]["task_id"]
    until(lambda: running.task(task)["task_status"] == "running", 20)
    start = time.monotonic()
    assert running.stop(25) == 0
    assert time.monotonic() - start < 25
    running.start()
    answer = running.ended(task, 60)
    assert answer["files"][0]["attempts"] == 1
    assert answer["task_status"] == "completed"
