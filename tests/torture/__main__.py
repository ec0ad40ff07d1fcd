"""`python -m tests.torture [OPTIONS] LANE…`: breaks a real service in every way it knows, and judges what is left.

The same seed makes the same trials in the same order; `--only TEXT` replays those whose point holds the text.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from tests.torture import faults
from tests.torture.lanes import LANES, Plan, run
from tests.torture.ledger import Ledger

logger = logging.getLogger("torture")


@click.command()
@click.argument("lanes", nargs=-1, type=click.Choice(list(LANES)))
@click.option("--seed", default=1, show_default=True, help="which sample")
@click.option("--minutes", type=float, help="for all lanes together; without it, all there is to do")
@click.option("--parallel", default=4, show_default=True, help="trials at a time")
@click.option("--haste", default=4.0, show_default=True, help="the program's own times are divided by this")
@click.option("--results", default="build/torture", show_default=True, type=click.Path(path_type=Path))
@click.option("--resume", is_flag=True, help="leave out what the results hold already")
@click.option("--until_found", is_flag=True, help="begin nothing more once something was found")
@click.option("--struck", type=int, help="a lane is over when so many faults have struck in it")
@click.option("--only", default="", help="only points that hold this text")
def torture(
    lanes: tuple[str, ...], minutes: float | None, results: Path, *, resume: bool, **how: Any
) -> None:
    """Run these lanes, or all; exit 1 where anything was found."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    logging.getLogger("alembic").setLevel("WARNING")
    if reason := faults.why_not():
        logger.error("skipped: %s", reason)
        return
    chosen = lanes or tuple(LANES)
    ledger = Ledger(results / "trials.jsonl", resume=resume)
    plan = Plan(results=results, resume=resume, minutes=minutes and minutes / len(chosen), **how)
    for name in chosen:
        run(LANES[name], plan, ledger)
    for line in ledger.summary():
        logger.info("%s", line)
    sys.exit(any(trial.findings for trial in ledger.trials))


if __name__ == "__main__":
    torture()
