"""The benchmark of the queue runs, small, and says what it promises to say."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_lane_has_its_figures(tmp_path: Path) -> None:
    """A few rows instead of a million, and no peers, which would have to be installed."""
    small = ["--tasks", "200", "--directories", "20", "--rounds", "1", "--times", "5", "--asked", "5"]
    command = [sys.executable, "-m", "benchmarks.queues", "--build", str(tmp_path), "--name", "small", *small]
    ran = subprocess.run(
        [*command, "--alone", "--journals", "delete"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads((tmp_path / "small.json").read_text())
    assert found["databases"]["delete"]["ours"]["lease"]["calls"] == 5
    assert found["monitoring"]["sqlite"]["at_work"]["calls"] == 5
    assert found["directories"]["ratio"] > 0
    assert "| lease one |" in ran.stdout
