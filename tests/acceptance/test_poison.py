"""A recording that kills the transcriber, among many that do not."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

from pipeline.stage.transcribe import fake
from tests.acceptance.harness import Service, tone

GOOD = 40


def poison(path: Path) -> Path:
    """Write a recording whose samples make the fake engine crash."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(fake.marked(fake.CRASH).tobytes())
    return path


def test_a_poison_file_is_quarantined_after_two_crashes_and_the_others_finish(
    service: Callable[..., Service], tmp_path: Path
) -> None:
    """Two children die, no more; nobody else is quarantined or transcribed in vain more than the once."""
    folder = tmp_path / "workdir" / "mixed"
    for number in range(GOOD):
        tone(folder / f"{number:02}.wav", 0.5, 300 + number)
    poison(folder / "20 poison.wav")
    running = service().start()
    answer = running.done("mixed")
    assert answer["counts"] == {"done": GOOD, "quarantined": 1}
    (bad,) = [file for file in answer["files"] if file["status"] == "quarantined"]
    assert (bad["path"], bad["error"]["code"]) == ("mixed/20 poison.wav", "crashed")
    log = running.log.read_text()
    assert log.count("ERROR   the transcriber was killed by SIGSEGV") == 2
    assert log.count("transcriber started") <= 3
