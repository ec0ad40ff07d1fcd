"""`python -m tests.torture.times`: how long it takes, with the program's own times (but `slow`) and a fake engine.

child     a transcriber is killed -> its file is leased again
machine   a stage falls silent while its connection stands -> a file that it had is leased by another one
stop      SIGTERM -> exit, with a file in progress; no attempt is charged
core      a core is killed -> the next one answers and is ready, with 100,000 rows in the queue
full      a full disk has room again -> the file that came meanwhile is done
renamed   a file gets its name, or is moved in -> it is queued
finished  its writer, who paused at times, closes a file -> it is queued
unheard   a file comes and no event tells of it -> it is queued
slow      a writer who pauses up to five quiet times is finished -> the transcript of the final bytes is there
"""

from __future__ import annotations

import logging
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tests.torture import discovery, recovery
from tests.torture.arena import Arena
from tests.torture.measures import Measures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

logger = logging.getLogger("times")


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured, and what it may take."""

    run: Callable[[Arena], Iterator[float]]
    limit_s: float  # that 99 of 100 keep within
    haste: float = 1.0


MEASURED: Mapping[str, Measure] = {
    "child": Measure(recovery.child, 3.0),
    "machine": Measure(recovery.machine, 12.0),
    "stop": Measure(recovery.stop, 25.0),
    "core": Measure(recovery.core, 5.0),
    "full": Measure(recovery.full, 15.0),
    "renamed": Measure(discovery.renamed, 1.0),
    "finished": Measure(discovery.finished, discovery.QUIET_S + 2.0),
    "unheard": Measure(discovery.unheard, discovery.RESCAN_S + discovery.QUIET_S + 2.0),
    "slow": Measure(discovery.slow, 30.0, discovery.HASTE),
}


@click.command()
@click.argument("what", nargs=-1, type=click.Choice(list(MEASURED)))
@click.option("--count", default=200, show_default=True, help="how often")
@click.option("--minutes", type=float, help="for all together; without it, as long as it takes")
@click.option(
    "--results", default="build/torture/times.jsonl", show_default=True, type=click.Path(path_type=Path)
)
@click.option("--resume", is_flag=True, help="count what the results hold already")
def main(what: tuple[str, ...], count: int, minutes: float | None, results: Path, *, resume: bool) -> None:
    """Measure; print median, 99th percentile and worst; exit 1 if one in a hundred takes too long."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    measures = Measures(results, resume=resume)
    chosen = what or tuple(MEASURED)
    for name in chosen:
        _measure(name, count, minutes and minutes / len(chosen), measures)
        logger.info("%s", measures.shown(name))
    sys.exit(any(measures.p99(name) > MEASURED[name].limit_s for name in chosen))


def _measure(name: str, count: int, minutes: float | None, measures: Measures) -> None:
    """Measure until there are so many, or the time is over."""
    missing = max(0, count - len(measures.of(name)))
    began, measure = time.monotonic(), MEASURED[name]
    with Arena(name="times", haste=measure.haste) as arena, closing(measure.run(arena)) as times:
        for seconds in islice(times, missing):
            measures.add(name, seconds)
            if minutes is not None and time.monotonic() - began > minutes * 60:
                break


if __name__ == "__main__":
    main()
