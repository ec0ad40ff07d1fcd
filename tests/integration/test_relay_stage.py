"""The relay with a real stage: supervisor and child are processes, the model is a fake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline.options import Options
from pipeline.queue.database import open_database
from pipeline.queue.store import NewFile, TaskStore
from pipeline.relay.commit import Committer
from pipeline.relay.dispatch import Dispatch
from pipeline.runner import Runner
from pipeline.stage.transcribe.fake import CRASH, marked
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source

PROJECT = Path(__file__).parents[2]


class Relay:
    """A queue and its relay in a thread, and one stage beside it."""

    def __init__(self, base: Path) -> None:
        self.root = base / "workdir"
        self.root.mkdir()
        self.database = open_database(f"sqlite:///{base}/queue.db")
        self.store = TaskStore(self.database)
        epoch, _ = self.store.open_epoch()
        options = Options(model="tiny", no_vad=True)
        self.dispatch = Dispatch(
            self.store, Committer(self.root, None, "1"), options, bind="tcp://127.0.0.1:0", epoch=epoch
        )
        self.runner = Runner("relay", self.dispatch)
        self.runner.start()
        self.task = self.store.open_task(b".", Source.API, {})[0]
        self.stage: subprocess.Popen[bytes] | None = None

    def start_stage(self) -> None:
        command = [
            sys.executable, "-m", "pipeline.stage.supervise", "--connect", self.dispatch.endpoint,
            "--workdir", str(self.root), "--cache", str(self.root), "--device", "cpu", "--engine", "fake",
            "--threads", "1",
        ]  # fmt: skip
        self.stage = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=PROJECT)

    def add(self, name: str, samples: np.ndarray) -> MediaFile:
        path = self.root / name
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(samples.astype("<i2").tobytes())
        known = Fingerprint(path.stat().st_size, path.stat().st_mtime_ns)
        new = NewFile(path=name.encode(), fingerprint=known, state=FileState.QUEUED, options={})
        return self.store.add_files(self.task.id, [new])[0]

    def file(self, file: MediaFile) -> MediaFile:
        found = self.store.file(file.id)
        assert found is not None
        return found

    def until(self, true: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, [self.file(each) for each in self.store.files(self.task.id).rows]
            time.sleep(0.05)

    def ends(self, file: MediaFile, state: FileState) -> None:
        self.until(lambda: self.file(file).state is state)

    def child(self) -> psutil.Process:
        assert self.stage is not None
        return psutil.Process(self.stage.pid).children()[0]

    def close(self) -> None:
        self.runner.stop()
        if self.stage and self.stage.stdin:
            self.stage.stdin.close()
            self.stage.wait(60)
        self.dispatch.close()
        self.database.close()


def speech(seconds: int, pitch: float = 300.0) -> np.ndarray:
    """Return a loud tone: what loudness alone takes for speech."""
    return (12_000 * np.sin(2 * np.pi * pitch * np.arange(seconds * 16_000) / 16_000)).astype(np.int16)


@pytest.fixture
def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    monkeypatch.setenv("WHISPER_FAKE_BATCH", "1")
    monkeypatch.setenv("WHISPER_FAKE_DELAY", "0.25")
    relay = Relay(tmp_path)
    yield relay
    relay.close()


@pytest.mark.parametrize("victim", ["child", "supervisor"])
def test_a_killed_stage_goes_on_where_it_was(relay: Relay, victim: str) -> None:
    """The file is done once, and no acknowledged window of it is transcribed twice."""
    file = relay.add("long.wav", speech(300))
    relay.start_stage()
    relay.until(lambda: relay.file(file).position > 60)
    acknowledged = relay.file(file).position
    if victim == "child":
        os.kill(relay.child().pid, signal.SIGKILL)
    else:
        assert relay.stage is not None
        relay.stage.kill()
        relay.stage.wait()
        relay.start_stage()
    relay.until(lambda: relay.file(file).token == 2)
    assert relay.file(file).position >= acknowledged
    relay.ends(file, FileState.DONE)
    assert (relay.root / "long.json").exists()


def test_a_file_that_kills_the_child_is_quarantined_and_the_others_are_done(relay: Relay) -> None:
    """After exactly two crashes."""
    poison = relay.add("poison.wav", np.concatenate([speech(2), marked(CRASH), speech(2)]))
    others = [relay.add(f"{number}.wav", speech(2, 200.0 + number)) for number in range(6)]
    relay.start_stage()
    relay.ends(poison, FileState.QUARANTINED)
    assert relay.file(poison).crashes == 2
    for other in others:
        relay.ends(other, FileState.DONE)


def test_a_drained_stage_gives_a_long_file_back_uncharged(relay: Relay) -> None:
    """Amid it, its windows kept."""
    file = relay.add("long.wav", speech(600))
    relay.start_stage()
    relay.until(lambda: relay.file(file).position > 0)
    relay.dispatch.drain()
    relay.until(lambda: relay.dispatch.drained)
    assert (relay.file(file).state, relay.file(file).attempts) == (FileState.QUEUED, 0)
    assert 0 < relay.file(file).position < 600
