"""An older copy of the queue put back: what was done after it was made stays done, what is to be done is done."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.acceptance.harness import Service, tone, until

COUNT = 6


@dataclass(frozen=True)
class Restored:
    """A service on its restored queue, and how things were before."""

    service: Service
    log: Path  # a line for each window that the engine heard
    task: str
    states: dict[str, str]  # of the files, in the copy
    heard: int
    outputs: dict[Path, tuple[int, bytes]]
    changed: Path

    def is_as_it_was(self, audio: Path) -> bool:
        """Tell whether none of a recording's outputs was touched."""
        return all(_stamp(path) == was for path, was in self.outputs.items() if path.stem == audio.stem)


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    """Copy the queue amid a folder, let the folder be done, stop, change one recording, put the copy back, start."""
    place = tmp_path_factory.mktemp("restore")
    log, copy = place / "heard.log", place / "copy.db"
    env = {"WHISPER_FAKE_DELAY": "0.3", "WHISPER_FAKE_BATCH": "1", "WHISPER_FAKE_LOG": str(log)}
    flags = ("--engine", "fake", "--quiet_seconds", "1", "--no_vad")
    service = Service(place / "workdir", *flags, env=env).start()
    try:
        audio = [tone(service.workdir / "talks" / f"{n}.wav", pitch=500 + n) for n in range(COUNT)]
        task = until(lambda: service.tasks("talks"))[0]["task_id"]
        until(lambda: service.task(task)["counts"].get("done"))
        states = _copy(service.workdir / ".whisper" / "queue.db", copy)
        service.ended(task)
        service.stop()
        heard = len(log.read_text().splitlines())
        outputs = {path: _stamp(path) for each in audio for path in each.parent.glob(f"{each.stem}.*")}
        changed = tone(audio[-1], pitch=600)
        del outputs[changed]
        _put_back(copy, service.workdir / ".whisper" / "queue.db")
        service.start()
        service.ended(task)
        yield Restored(service, log, task, states, heard, outputs, changed)
    finally:
        assert service.process
        if service.process.poll() is None:
            for child in psutil.Process(service.process.pid).children(recursive=True):
                child.kill()
            service.process.kill()
            service.process.wait()


def _copy(queue: Path, copy: Path) -> dict[str, str]:
    """Do what `sqlite3 queue.db '.backup copy.db'` does; return the states of the files in the copy."""
    with closing(sqlite3.connect(queue)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        return {path.decode(): state for path, state in target.execute("SELECT path, state FROM file")}


def _put_back(copy: Path, queue: Path) -> None:
    for beside in ("-journal", "-wal", "-shm"):
        queue.with_name(queue.name + beside).unlink(missing_ok=True)
    shutil.copyfile(copy, queue)


def _stamp(path: Path) -> tuple[int, bytes]:
    return path.stat().st_mtime_ns, path.read_bytes()


def test_what_was_done_since_stays_done(restored: Restored) -> None:
    """Files that wait in the copy, or are at a stage there, end with the outputs that they have, uncharged."""
    assert {"done", "leased"} <= set(restored.states.values())
    answer = restored.service.task(restored.task)
    assert answer["task_status"] == "completed"
    for each in answer["files"]:
        audio = restored.service.workdir / each["path"]
        assert len(each["outputs"]) == 5
        if audio != restored.changed:
            expected = ("done", 1) if restored.states[each["path"]] == "done" else ("skipped", 0)
            assert (each["status"], each["attempts"]) == expected
            assert restored.is_as_it_was(audio)


def test_what_changed_since_is_done_again(restored: Restored) -> None:
    """A transcript of other sound is none: of all windows the engine hears one more."""
    provenance = json.loads(restored.changed.with_suffix(".json").read_text())["provenance"]
    assert provenance["source"]["mtime_ns"] == restored.changed.stat().st_mtime_ns
    assert len(restored.log.read_text().splitlines()) == restored.heard + 1


def test_what_somebody_asks_for_is_done_again(restored: Restored) -> None:
    """The restored files too are done again by force."""
    task = restored.service.post("talks", force=True)
    answer = restored.service.ended(task)
    assert [each["status"] for each in answer["files"]] == ["done"] * COUNT
    assert [each["attempts"] for each in answer["files"]] == [1] * COUNT
