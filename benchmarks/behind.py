"""A minute of speech behind ten hours: how long its transcript takes, and how well the device is used meanwhile.

usage: python -m benchmarks.behind [--hours 10] [--trials 3] [--threads 2] [-- SERVICE OPTIONS]

A running service with its model loaded gets the minute alone, some times; then the long file, and while that is being
transcribed the minute again, each time in a directory of its own. Times run from the drop to the JSON. The lines at
the end are the stage's own, one for each minute: all but the first are of the middle of a long file.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.memory import speech
from benchmarks.ours.service import running
from benchmarks.workloads import Item

if TYPE_CHECKING:
    from benchmarks.ours.service import Service

UNDER_WAY_S = 90.0  # that the long file is given before the first minute comes
FIGURES = "batch fill"  # a line of the log that holds this is the stage's own


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("options", nargs="*")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running(chosen.threads, chosen.options) as service:
        short = Item(speech(Path(name) / "minute.wav", 60), 60.0)
        long = speech(Path(name) / "hours.wav", int(chosen.hours * 3600))
        service.wait_until_warm(short)
        alone = [dropped(service, f"alone {number}", short) for number in range(chosen.trials)]
        (service.workdir / "archive").mkdir()
        shutil.move(long, service.workdir / "archive" / "hours.wav")
        time.sleep(UNDER_WAY_S)
        behind = [dropped(service, f"behind {number}", short) for number in range(chosen.trials)]
        assert not (service.workdir / "archive" / "hours.json").exists(), "the long file has ended"  # noqa: S101
        said = [line for line in service.log.read_text().splitlines() if FIGURES in line]
    for what, took in (("alone", alone), ("behind", behind)):
        print(f"a minute {what}: {', '.join(f'{each:.1f}' for each in took)} s")
    print(f"ratio of the medians: {median(behind) / median(alone):.2f}\n", *said, sep="\n")


def dropped(service: Service, name: str, item: Item) -> float:
    """Return how many seconds a recording takes from its drop to its transcript."""
    began = time.monotonic()
    service.drop(name, (item,), None)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
