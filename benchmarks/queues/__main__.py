"""`make bench-queue`: the queue with a million tasks, beside huey and procrastinate on the same disk and server.

usage: python -m benchmarks.queues [--only databases,monitoring,directories] [--tasks 1000000] …

Each lane's figures are kept as they are taken (benchmarks/results/queue.json) and docs/queue.md is written from them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.queues import databases, directories, monitoring, report
from benchmarks.queues.machine import describe

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "queues"
LANES: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "databases": databases.measure,
    "monitoring": monitoring.measure,
    "directories": directories.measure,
}


def main() -> None:
    """Measure the chosen lanes, one after the other, then report."""
    chosen = arguments()
    published = chosen.name == "queue"
    path = ROOT / "benchmarks/results/queue.json" if published else chosen.build / f"{chosen.name}.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for lane in chosen.only.split(","):
        folder = chosen.build / lane
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        about = {"machine": describe(), "at": time.strftime("%Y-%m-%d")}
        results[lane] = results.get(lane, {}) | about | LANES[lane](chosen, folder)
        shutil.rmtree(folder)
        path.write_text(json.dumps(results, indent=1) + "\n")
    if published:
        report.write(results, ROOT / "docs" / "queue.md")
    print(report.tables(results))


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="queue", help="of the results; another one leaves docs/ alone")
    parser.add_argument("--build", type=Path, default=BUILD, help="where it works: on the disk in question")
    parser.add_argument("--only", default=",".join(LANES), help="lanes")
    parser.add_argument("--journals", default="wal,delete,postgres", help="databases of the first lane")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--directories", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--times", type=int, default=100, help="each call, in a round")
    parser.add_argument("--alone", action="store_true", help="without huey and procrastinate")
    parser.add_argument("--asked", type=int, default=2_000, help="GETs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
