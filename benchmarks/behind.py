"""A minute of speech behind ten hours: how long its transcript takes, and how well the device is used meanwhile.

usage: python -m benchmarks.behind [--hours 10] [--minutes 3] [--threads 2] [-- SERVICE OPTIONS]

A running service with its model loaded gets some minutes of speech alone, one after another; then the long file, and
while that is being transcribed the same minutes again, in other files: one sample differs, as a recording that was
transcribed once is known again. Times run from the drop to the JSON. The lines at the end are the stage's own, one for
each minute: all but the first are of the middle of a long file.
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
from benchmarks.workloads import RATE, Item, decoded, written

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchmarks.ours.service import Service

UNDER_WAY_S = 90.0  # that the long file is given before the first minute comes
FIGURES = "batch fill"  # a line of the log that holds this is the stage's own


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--minutes", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("options", nargs="*")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running(chosen.threads, chosen.options) as service:
        spoken = decoded(speech(Path(name) / "minutes.wav", 60 * (chosen.minutes + 1)))
        spoken = spoken.reshape(-1, 60 * RATE).copy()
        warm_up, *short = minutes(Path(name), "alone", spoken)
        spoken[:, 0] ^= 1
        _, *again = minutes(Path(name), "behind", spoken)
        long = speech(Path(name) / "hours.wav", int(chosen.hours * 3600))
        service.wait_until_warm(warm_up)
        alone = [dropped(service, each) for each in short]
        (service.workdir / "archive").mkdir()
        shutil.move(long, service.workdir / "archive" / "hours.wav")
        time.sleep(UNDER_WAY_S)
        behind = [dropped(service, each) for each in again]
        assert not (service.workdir / "archive" / "hours.json").exists(), "the long file has ended"  # noqa: S101
        said = [line for line in service.log.read_text().splitlines() if FIGURES in line]
    print("| minute | alone, s | behind, s | ratio |\n|---|---|---|---|")
    for number, (first, second) in enumerate(zip(alone, behind, strict=True), 1):
        print(f"| {number} | {first:.1f} | {second:.1f} | {second / first:.2f} |")
    print(f"\nratio of the medians: {median(behind) / median(alone):.2f}\n", *said, sep="\n")


def minutes(folder: Path, name: str, spoken: NDArray[np.int16]) -> list[Item]:
    """Write minutes of speech, one a row, as recordings."""
    return [Item(written(folder / f"{name}-{at}.wav", pcm), 60.0) for at, pcm in enumerate(spoken)]


def dropped(service: Service, item: Item) -> float:
    """Return how many seconds a recording takes from its drop to its transcript."""
    began = time.monotonic()
    service.drop(item.path.stem, (item,), None)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
