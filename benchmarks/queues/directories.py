"""100,000 directories in the workdir: a look at all of them beside `find`, and the service on them."""

from __future__ import annotations

import os
import subprocess
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.queues.rows import MTIME_NS, fill
from pipeline.ingest.intake import Intake
from pipeline.queue.database import open_database
from pipeline.queue.store import TaskStore
from pipeline.tasks import Source
from tests.acceptance.harness import Service, tone, until

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    import psutil

ROUNDS = 5
MEGA = 1e6
SETTLED_S = 3.0  # no change in memory for so long


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return seconds and bytes."""
    workdir = _tree(folder / "workdir", chosen.directories)
    url = f"sqlite:///{workdir / '.whisper' / 'queue.db'}"
    found: dict[str, Any] = {"directories": chosen.directories}
    return found | _looks(workdir, url, chosen.directories) | _service(workdir, chosen.directories)


def _tree(workdir: Path, count: int) -> Path:
    """Make the directories, each with the file that the queue knows as done."""
    (workdir / ".whisper").mkdir(parents=True)
    for number in range(1, count + 1):
        folder = workdir / f"d{number}"
        folder.mkdir()
        (folder / "a.wav").touch()
        os.utime(folder / "a.wav", ns=(MTIME_NS, MTIME_NS))
    return workdir


def _looks(workdir: Path, url: str, count: int) -> dict[str, Any]:
    """Return how long the first look takes, which asks the queue, and later ones, in turns with find."""
    database = open_database(url)
    store = TaskStore(database)
    store.open_epoch()
    database.write(lambda connection: fill(connection, count, waiting=False))
    intake = Intake(store, workdir, output_dir=None, quiet_seconds=5.0)
    first = _look(intake)
    turns = [(_find(workdir), _look(intake)) for _ in range(ROUNDS)]
    assert not store.active_dirnames(), "nothing was new"  # noqa: S101 - else it is no rescan
    database.close()
    find, rescan = (round(median(each), 3) for each in zip(*turns, strict=True))
    return {
        "first_look_s": round(first, 1),
        "find_s": find,
        "rescan_s": rescan,
        "ratio": round(rescan / find, 2),
    }


def _look(intake: Intake) -> float:
    """Look at the whole workdir; return how long that took, without what the intake does in between."""
    before = intake.last_scan
    intake.notice_all(Source.RESCAN)
    while intake.last_scan is before:
        intake.step(time.monotonic())
    assert intake.last_scan  # noqa: S101 - for mypy
    return intake.last_scan.seconds


def _find(workdir: Path) -> float:
    """Return how long find takes to tell the same: names, sizes and times of all files."""
    began = time.perf_counter()
    command = ["find", str(workdir), "-type", "f", "-printf", r"%p %s %T@\n"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _service(workdir: Path, count: int) -> dict[str, Any]:
    service = Service(workdir, "--engine", "fake", "--no_vad")
    began = time.monotonic()
    service.start(ready=False)
    answering = time.monotonic() - began
    core = service.find("core")
    first_look = _calm(core) - began
    tone(workdir / f"d{count}" / "new.wav", 0.2)
    dropped = time.monotonic()
    until(lambda: _new(service, count), 120, every=0.05)
    seen = time.monotonic() - dropped
    found = {
        "answering_s": round(answering, 1),
        "calm_s": round(first_look, 1),
        "watch": service.ask("GET", "/readyz")[1]["watch"]["kind"],
        "new_file_seen_s": round(seen, 2),
        "core_mb": round(core.memory_info().rss / MEGA),
    }
    began = time.monotonic()
    service.stop(60)
    return found | {"stop_s": round(time.monotonic() - began, 1)}


def _new(service: Service, count: int) -> bool:
    """Tell whether the directory has got a task after those that it was filled with."""
    return bool(service.tasks(f"d{count}")[0]["created_at"] > "2025")


def _calm(core: psutil.Process) -> float:
    """Wait until the core hardly computes for some seconds; return when that began (monotonic seconds)."""
    since = time.monotonic()
    while time.monotonic() - since < SETTLED_S:
        if core.cpu_percent(0.5) > 20.0:
            since = time.monotonic()
    return since
