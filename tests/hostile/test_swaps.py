"""Links that lead out of the workdir are swapped in while the product opens and writes: nothing outside is touched."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.options import Options
from pipeline.relay.commit import Committer
from tests.acceptance.harness import ROOT
from tests.hostile.doors import heard, media
from tests.hostile.swapper import SOURCES, WATCHED, as_it_is, swapped, swapping
from tests.hostile.trace import STRACE

pytestmark = pytest.mark.skipif(not STRACE, reason="needs strace")

GATE_S, LENGTH_S, MUTANT_S = 5.0, 60.0, 3.0
MUTANTS = {
    "a source is opened by its path": """
from pipeline.stage.decode.source import Source
Source._open = lambda self: os.open(self._joined, os.O_RDONLY)
""",
    "a source is hashed by its path": """
from pipeline.ingest import beneath
@contextlib.contextmanager
def opened(root, path):
    yield os.open(beneath.join(root, path), os.O_RDONLY)
beneath.opened = opened
""",
    "a transcript is read by the path of its directory": """
from pipeline import outputs
@contextlib.contextmanager
def opened_directory(base, relative):
    yield os.open(base + b"/" + relative, os.O_RDONLY | os.O_DIRECTORY)
outputs.opened_directory = opened_directory
""",
    "outputs are written by the path of their directory": """
from pipeline.relay import atomic
@contextlib.contextmanager
def opened_directory(base, relative, *, like=None):
    yield os.open(os.fsencode(base) + b"/" + relative, os.O_RDONLY | os.O_DIRECTORY)
atomic.opened_directory = opened_directory
""",
}
RUN = """
import runpy, sys
sys.argv[0] = "doors"
runpy.run_module("tests.hostile.doors", run_name="__main__")
"""


class Race:
    """A workdir, the same tree beside it, and what the doors did while links were swapped."""

    def __init__(self, folder: Path, seconds: float, mutant: str = "", seed: int = 1) -> None:
        workdir = folder / "workdir"
        self.withheld = swapped(workdir)
        for path in SOURCES:
            outside = Committer(self.withheld, None, "1")
            outside.put(outside.prepare(media(path), heard(), Options()))
        before = as_it_is(self.withheld)
        with swapping(workdir, seed):
            self.passed, self.escapes = _traced(workdir, seconds, mutant, self.withheld)
        self.is_untouched = as_it_is(self.withheld) == before


def _traced(
    workdir: Path, seconds: float, mutant: str, withheld: Path
) -> tuple[dict[str, list[int]], list[str]]:
    trace = workdir.parent / "trace"
    command = [STRACE, "-f", "-y", "--seccomp-bpf", "-qq", "-e", WATCHED, "-o", str(trace)]
    command += [sys.executable, "-c", f"import contextlib, os\n{mutant}\n{RUN}", str(workdir), str(seconds)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    with trace.open(errors="replace") as lines:
        return json.loads(answer.stdout), [line for line in lines if f"<{withheld}" in line]


def test_no_door_leads_out_of_the_workdir(
    tmp_path: Path, at_length: bool, seed: int, figure: Callable[[str], None]
) -> None:
    """Not one descriptor of a file or directory beside it, in seconds of thousands of swaps; each door is tried."""
    race = Race(tmp_path, LENGTH_S if at_length else GATE_S, seed=seed)
    assert race.escapes == []
    assert race.is_untouched
    assert all(done for done, _ in race.passed.values()), race.passed
    assert race.passed["open a source"][1]
    figure(f"swaps: {sum(map(sum, race.passed.values()))} passes through doors, none led out: {race.passed}")


@pytest.mark.at_length
@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_door_without_its_lock_is_seen(tmp_path: Path, mutant: str) -> None:
    """The same race finds what each of these would let through."""
    race = Race(tmp_path, MUTANT_S, mutant)
    assert race.escapes or not race.is_untouched
