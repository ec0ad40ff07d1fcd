"""`make bench`: this project and its peers on the same audio, with the same weights and threads, in turns.

usage: python -m benchmarks.bench [--rounds 3] [--workload long,short,hour,alone] [--only WORDS] [--skip WORDS] …

Each measurement is a process of its own, warm before the clock starts. Round 1 runs every system once, then round 2,
and so on; slow systems run once, on samples. Each figure is kept as it is taken (benchmarks/results/NAME.json);
`--resume` goes on where an interrupted run stopped, `--report` only writes docs/benchmarks.md anew.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import machine, parts, report
from benchmarks.measure import RunError
from benchmarks.prepare import prepare, versions
from benchmarks.results import Results
from benchmarks.rig import Rig
from benchmarks.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.systems import System, Workload

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "peers"


def main() -> None:
    """Measure, then report; exit 1 when a system failed."""
    chosen = arguments()
    path = ROOT / "benchmarks" / "results" / f"{chosen.name}.json"
    results = Results(path, resume=chosen.resume or chosen.report)
    failed = [] if chosen.report else measure(chosen, results)
    if chosen.document:
        report.write(results.content, ROOT / "docs" / "benchmarks.md")
        chart = [str(BUILD / ".venv/bin/python"), str(ROOT / "benchmarks/chart.py"), str(path)]
        subprocess.run([*chart, str(ROOT / "docs" / "benchmarks.svg")], check=True)
    else:
        print(report.tables(results.content))
    if failed:
        sys.exit(f"failed: {'; '.join(failed)}")


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    corpus = ROOT.parent / "shared" / "corpus" / "dev"
    parser.add_argument("--corpus", type=Path, default=corpus if corpus.exists() else ROOT / "samples")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/whisper").expanduser())
    parser.add_argument("--name", default="bench", help="of the results file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=18.5, help="of long recordings")
    parser.add_argument("--pieces", type=int, default=100, help="short recordings")
    parser.add_argument("--windows", type=int, default=16, help="for the engines alone")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workload", default="long,short,hour,alone")
    parser.add_argument("--only", default="", help="systems whose name holds one of these, separated by ';'")
    parser.add_argument("--skip", default="", help="likewise")
    parser.add_argument("--full", action="store_true", help="every system, every round, on all of the audio")
    parser.add_argument("--resume", action="store_true", help="keep what the results file has")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--document", action="store_true", help="write docs/benchmarks.md and its chart")
    return parser.parse_args()


def measure(chosen: argparse.Namespace, results: Results) -> list[str]:
    """Take every measurement that is not in the results yet; return what failed."""
    prepared = prepare(BUILD, chosen.cache)
    rig = Rig(prepared, chosen)
    about = {"machine": machine.describe(), "threads": chosen.threads, "peers": versions(prepared)}
    results.note(**about, audio=rig.described())
    missing = [each for each in plan(chosen) if not results.has(each[0].name, *each[1:])]
    failed = [said for each in missing if (said := measured(rig, results, *each))]
    results.note(limits=machine.limits(chosen.threads))
    if "long" in chosen.workload:
        results.note(parts=parts.measure(rig.workload("long"), chosen.cache, chosen.threads))
    return failed


def measured(rig: Rig, results: Results, system: System, workload: Workload, number: int) -> str | None:
    """Take one measurement, telling how it went; return what failed."""
    about = {"system": system.name, "workload": workload, "round": number, "beam": system.beam}
    said = f"round {number}  {workload:5}  {system.name}"
    try:
        run = rig.run(system, workload)
    except RunError as error:
        print(f"{said}: FAILED\n{error}", flush=True)
        return said
    results.add(about | run)
    speed = run["audio_s"] / run["wall_s"]
    print(f"{time.strftime('%H:%M:%S')}  {said}: {speed:.1f} x real time", flush=True)
    return None


def plan(chosen: argparse.Namespace) -> Iterator[tuple[System, Workload, int]]:
    """Yield what to measure, in turns: round after round, in each workload after workload."""
    systems = [each for each in SYSTEMS if wanted(each.name, chosen.only, chosen.skip)]
    for number in range(1, chosen.rounds + 1):
        for workload in chosen.workload.split(","):
            for system in systems:
                if workload in system.workloads and (chosen.full or has_turn(system, workload, number)):
                    yield system, workload, number


def has_turn(system: System, workload: Workload, number: int) -> bool:
    """Tell whether a system runs in this round of an hour's benchmark."""
    every_round = system.contender and workload != "hour"
    return not system.extra and (every_round or number == 1)


def wanted(name: str, only: str, skip: str) -> bool:
    """Tell whether a name is chosen: it holds a word of `only`, if there are any, and none of `skip`."""
    some = [word.strip() for word in only.split(";") if word.strip()]
    none = [word.strip() for word in skip.split(";") if word.strip()]
    return (not some or any(word in name for word in some)) and not any(word in name for word in none)


if __name__ == "__main__":
    main()
