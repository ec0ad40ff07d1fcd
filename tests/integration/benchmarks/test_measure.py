"""A measurement is of the work alone, over all processes of a system."""

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks.measure import RunError, run

PEERS = Path(__file__).parents[3] / "benchmarks" / "peers"
RUNNER = """
import subprocess, sys, time
import exchange

BURN = "import time\\nheld = bytearray(200_000_000)\\nwhile time.process_time() < {}: pass"

class System:
    def __init__(self, order):
        time.sleep(1.0)

    def transcribe(self, path, language):
        print("a library's chatter")
        subprocess.run([sys.executable, "-c", BURN.format(path)], check=True)
        return f"{path} in {language}"

exchange.serve(System)
"""
BROKEN = "raise SystemExit('no such model')"


def measured(folder: Path, code: str) -> tuple[object, dict[str, object]]:
    """Run a runner of this code on two files."""
    runner, order = folder / "runner.py", folder / "order.json"
    runner.write_text(code)
    order.write_text(json.dumps({"warm_up": ["0.1", None], "files": [["0.5", "en"], ["0.6", None]]}))
    command = [sys.executable, str(runner), str(order)]
    return run(command, os.environ | {"PYTHONPATH": str(PEERS)}, folder / "log.txt")


def test_a_measurement_counts_children_and_not_loading(tmp_path: Path) -> None:
    """CPU seconds and memory of a child are the system's; the second that loading took is not in the wall time."""
    cost, answer = measured(tmp_path, RUNNER)
    assert answer["texts"] == {"0.5": "0.5 in en", "0.6": "0.6 in None"}
    assert 1.1 <= cost.cpu_s < cost.wall_s + 0.1
    assert cost.wall_s - float(str(answer["seconds"])) < 0.9
    assert cost.peak_bytes > 200_000_000


def test_a_system_that_fails_says_why(tmp_path: Path) -> None:
    """The end of its stderr is in the error."""
    with pytest.raises(RunError, match="no such model"):
        measured(tmp_path, BROKEN)
