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
import wave
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
    parser.add_argument("--minutes", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("options", nargs="*")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running(chosen.threads, chosen.options) as service:
        warm_up, *short = minutes(Path(name), chosen.minutes + 1, "alone")
        _, *again = minutes(Path(name), chosen.minutes + 1, "behind", nudge=1)
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


def minutes(folder: Path, count: int, name: str, *, nudge: int = 0) -> list[Item]:
    """Write so many minutes of speech, no two alike; `nudge` changes bits of the first sample."""
    with wave.open(str(speech(folder / "minutes.wav", 60 * count))) as together:
        pieces = [together.readframes(60 * together.getframerate()) for _ in range(count)]
        form = together.getparams()
    items = []
    for number, piece in enumerate(pieces):
        items.append(Item(folder / f"{name}-{number}.wav", 60.0))
        with wave.open(str(items[-1].path), "wb") as out:
            out.setparams(form)
            out.writeframes(bytes([piece[0] ^ nudge]) + piece[1:])
    return items


def dropped(service: Service, item: Item) -> float:
    """Return how many seconds a recording takes from its drop to its transcript."""
    began = time.monotonic()
    service.drop(item.path.stem, (item,), None)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
