"""Enqueue, lease and finish with a million tasks in the database, beside a bare commit and a peer, in turns."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.queues.programs import Program, peers
from benchmarks.queues.rows import EVERY, fill
from pipeline.queue.database import open_database
from pipeline.queue.store import TaskStore
from tests.postgres import Cluster

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from pathlib import Path

CALLS = {  # in this order; those of many at once are made less often
    "bare": {"commit": 1},
    "ours": {
        "enqueue": 1,
        "lease": 1,
        "finish": 1,
        "lease_some": 10,
        "enqueue_many": 50,
        "enqueue_at_once": 20,
    },
    "huey_queue": {"enqueue": 1, "lease": 1},
    "procrastinate_queue": {"enqueue": 1, "lease": 1, "finish": 1, "enqueue_many": 50},
}


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return for each database and system the seconds of each call."""
    python = None if chosen.alone else peers(folder.parent / ".venv")
    found: dict[str, Any] = {
        "tasks": chosen.tasks,
        "waiting": chosen.tasks // EVERY,
        "peers": _versions(python) if python else [],
    }
    for journal in chosen.journals.split(","):
        with ExitStack() as stack:
            if journal == "postgres":
                programs = _on_postgres(stack, python, folder, chosen.tasks)
            else:
                programs = _on_sqlite(stack, python, folder, journal, chosen.tasks)
            found[journal] = _in_turns(programs, chosen.rounds, chosen.times)
    return found


def _on_sqlite(
    stack: ExitStack, python: Path | None, folder: Path, journal: str, count: int
) -> Iterable[Program]:
    url = f"sqlite:///{folder / journal}.db"
    _fill(url, count)
    theirs = [str(folder / f"{journal}-huey.db"), journal, str(count // EVERY)]
    yield stack.enter_context(Program(sys.executable, "ours", [url, journal]))
    yield stack.enter_context(Program(sys.executable, "bare", [url, journal]))
    if python:
        yield stack.enter_context(Program(python, "huey_queue", theirs))


def _on_postgres(stack: ExitStack, python: Path | None, folder: Path, count: int) -> Iterable[Program]:
    cluster = Cluster(folder)  # on the same disk, not in a temporary folder that may be memory
    stack.callback(cluster.remove)
    ours, theirs = cluster.create("ours"), cluster.create("procrastinate")
    _fill(ours, count)
    cluster.ask("VACUUM ANALYZE", "ours")
    yield stack.enter_context(Program(sys.executable, "ours", [ours]))
    yield stack.enter_context(Program(sys.executable, "bare", [ours]))
    if python:
        yield stack.enter_context(Program(python, "procrastinate_queue", [theirs, str(count), str(EVERY)]))


def _fill(url: str, count: int) -> None:
    database = open_database(url)
    TaskStore(database).open_epoch()
    database.write(lambda connection: fill(connection, count))
    database.close()


def _in_turns(programs: Iterable[Program], rounds: int, times: int) -> dict[str, Any]:
    """Ask each program for each of its calls, round after round: the disk's moods meet all alike."""
    asked = list(programs)
    taken: dict[str, dict[str, list[float]]] = {each.name: {} for each in asked}
    for _ in range(rounds):
        for program in asked:
            for call, share in CALLS[program.name].items():
                seconds = program.seconds(call, max(1, times // share))
                taken[program.name].setdefault(call, []).extend(seconds)
    return {name: {call: summary(every) for call, every in calls.items()} for name, calls in taken.items()}


def summary(seconds: list[float]) -> dict[str, float]:
    """Return how many there were, their median and 99th percentile in milliseconds, and how many a second."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {
        "calls": len(ordered),
        "p50_ms": round(median(ordered) * 1e3, 3),
        "p99_ms": round(p99 * 1e3, 3),
        "per_s": round(len(ordered) / sum(ordered), 1),
    }


def _versions(python: Path) -> list[str]:
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.split() if line.startswith(("huey", "procrastinate", "psycopg=="))]
