"""Recordings that kill the transcriber, and a device that fails: they go alone, the others are done."""

from __future__ import annotations

import re
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.relay.messages import Busy, Welcome
from pipeline.stage.transcribe import fake
from tests.acceptance.harness import Service, tone
from tests.integration.test_worker import TIMEOUT_S, Process

GOOD = 200
BATCH = 4
FAILING_GPU = """
import sys
from pipeline.stage.transcribe.load import Loader
from pipeline.stage.work import worker
Loader.on_gpu = True
sys.exit(worker.main())
"""


def poison(path: Path, order: int) -> Path:
    """Write a recording whose samples make the fake engine misbehave."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(fake.marked(order).tobytes())
    return path


@pytest.mark.at_length
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("order", "code"), [(fake.CRASH, "crashed"), (fake.HANG, "stalled")], ids=["crash", "hang"]
)
def test_poison_among_two_hundred_costs_two_loads(
    service: Callable[..., Service],
    tmp_path: Path,
    order: int,
    code: str,
    figure: Callable[[str], None],
) -> None:
    """It is quarantined after its second death; nobody else is, and little is transcribed in vain."""
    folder, begun = tmp_path / "workdir" / "mixed", tmp_path / "windows"
    for number in range(GOOD):
        tone(folder / f"{number:03}.wav", 0.5, 300 + number)
    poison(folder / "100 poison.wav", order)
    environment = {"WHISPER_FAKE_LOAD": "1", "WHISPER_FAKE_LOG": str(begun), "WHISPER_FAKE_BATCH": str(BATCH)}
    running = service(env=environment).start()
    answer = running.done("mixed", 500)
    assert answer["counts"] == {"done": GOOD, "quarantined": 1}
    (bad,) = [file for file in answer["files"] if file["status"] == "quarantined"]
    assert (bad["path"], bad["error"]["code"], bad["attempts"]) == ("mixed/100 poison.wav", code, 2)
    loads = len(re.findall(r"transcriber started", running.log.read_text()))
    in_vain = len(begun.read_text().splitlines()) - GOOD - 2
    assert loads - 1 <= 2
    assert in_vain <= BATCH
    figure(f"poison ({code}): {GOOD} done, {loads - 1} more loads, {in_vain} windows begun in vain")


def test_an_error_of_the_gpu_other_than_memory_ends_the_child(tmp_path: Path) -> None:
    """Only a new process can use the device again; the supervisor knows whom to blame."""
    worker: Any = Process(tmp_path, program=("-c", FAILING_GPU))
    worker.say(Welcome(epoch=3, model="base", paused=False))
    worker.job("a.wav", 1, fake.marked(fake.FAILURE))
    assert worker.process.wait(TIMEOUT_S) == 1
    with pytest.raises((EOFError, ConnectionError)):
        worker.listen(type(None))
    assert [each.file_ids for each in worker.heard if isinstance(each, Busy)][-1] == (1,)
    worker.close()
