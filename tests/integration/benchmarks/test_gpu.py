"""`make gpu` measures what it says, on whatever there is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]


def gpu(*options: str) -> str:
    """Return what the command prints."""
    command = [sys.executable, "-m", "benchmarks.gpu", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=100).stdout


def test_the_same_code_runs_small_on_a_cpu(tmp_path: Path) -> None:
    """Windows end where the script in the weights wants them to: earlier, the longer their prompts."""
    said = gpu(
        "--device", "cpu", "--shapes", "tiny", "--windows", "3", "--tokens", "8", "--cache", str(tmp_path)
    )
    figures = json.loads(said.splitlines()[0])
    assert (figures["windows"], figures["device"], figures["graphs"]) == (3, "cpu", False)
    assert 8 <= figures["tokens_per_window"] <= 8 + 44
    assert figures["windows_per_s"] > 0
    assert 0 < figures["fill"] <= 1
    assert "base with its real weights: not measured" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_succeeds() -> None:
    """A machine without one is no failure."""
    assert (
        gpu()
        == "no CUDA GPU here: nothing was measured (--device cpu --shapes tiny runs the same code, small)\n"
    )
