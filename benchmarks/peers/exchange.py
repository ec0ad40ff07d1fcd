"""How a runner talks to the benchmark: an order as a JSON file, answers as JSON lines on stdout.

order   {"model", "threads", "settings", "warm_up": [path, language], "files": [[path, language], …] or "windows"}
        windows is an .npy of float32 (windows, 480000); language null: the system detects it
answers {"ready": true} once the model is loaded and warm; then a line on stdin starts the work; then
        {"seconds", "texts": {path: text}} or, of windows, {"seconds", "mel", "encode", "decode", "tokens"}

A runner imports its system and this, so that each system runs as it would alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class System(Protocol):
    """A loaded system under test."""

    def transcribe(self, path: str, language: str | None) -> str:
        """Return the text of a file."""
        ...

    def windows(self, pcm: Any) -> dict[str, float]:
        """Transcribe windows of 30 s in batches; return the seconds of each part and the tokens."""
        ...


def serve(load: Callable[[dict[str, Any]], System]) -> None:
    """Run one order with the system that `load` makes of it."""
    order = json.loads(Path(sys.argv[1]).read_text())
    say = _answers()
    system = load(order)
    work = _windows if order.get("windows") else _files
    run = work(system, order)
    say({"ready": True})
    sys.stdin.readline()
    began = time.perf_counter()
    done = run()
    say({"seconds": time.perf_counter() - began} | done)


def _answers() -> Callable[[dict[str, Any]], None]:
    """Keep stdout for the answers: what libraries print goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    return say


def _files(system: System, order: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    system.transcribe(*order["warm_up"])
    return lambda: {"texts": {path: system.transcribe(path, language) for path, language in order["files"]}}


def _windows(system: System, order: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    import numpy as np  # noqa: PLC0415 - every system that takes windows has it

    pcm = np.load(order["windows"])
    system.windows(pcm[:1])
    return lambda: dict(system.windows(pcm))


def batches(pcm: Any, size: int) -> Iterator[Any]:
    """Yield the windows in batches."""
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]
