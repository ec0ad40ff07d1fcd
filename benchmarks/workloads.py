"""A corpus -> the recordings of each workload, the same every time, with what was said in them."""

from __future__ import annotations

import csv
import subprocess
import wave
from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmarks import pieces
from pipeline.stage.decode.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 16_000
WINDOW = 30 * RATE
LONG_S = 60.0
AUDIO = {".flac", ".mp3", ".ogg", ".wav", ".wma", ".aiff", ".m4a"}


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of the corpus; without a manifest, `text` is empty and nothing can be scored."""

    path: Path
    language: str
    seconds: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """A file to transcribe: a recording, or a piece of one."""

    path: Path
    seconds: float
    source: Recording | None = None  # whose text its pieces make together


@dataclass(frozen=True, slots=True)
class Workload:
    """Files that are transcribed in one go; `language` is told to every system, None has it detected."""

    name: str
    items: tuple[Item, ...]
    language: str | None = None

    @property
    def seconds(self) -> float:
        """The audio in it."""
        return sum(item.seconds for item in self.items)


def recordings(corpus: Path) -> list[Recording]:
    """Return the corpus by its manifest.tsv, or every audio file below it."""
    manifest = corpus / "manifest.tsv"
    if not manifest.exists():
        files = sorted(path for path in corpus.rglob("*") if path.suffix in AUDIO)
        return [Recording(path, "", len(decoded(path)) / RATE, "sample", "") for path in files]
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        Recording(corpus / row["path"], row["language"], float(row["duration_s"]), row["kind"], row["text"])
        for row in rows
    ]


def long(corpus: list[Recording], minutes: float) -> Workload:
    """Return English and French recordings of over a minute, of every kind, as many as the minutes hold."""
    eligible = [each for each in corpus if each.language in ("en", "fr") and each.seconds > LONG_S]
    chosen = fitting(in_turn(eligible or corpus), minutes * 60)
    return Workload("long", tuple(Item(each.path, each.seconds, each) for each in chosen))


def short(corpus: list[Recording], count: int, folder: Path) -> Workload:
    """Return at least so many pieces of 1 to 5 s: whole English recordings cut at their pauses."""
    items: list[Item] = []
    for each in english(corpus):
        if len(items) >= count:
            break
        items += _pieces(each, folder)
    return Workload("short", tuple(items), "en")


def hour(corpus: list[Recording], minutes: float, path: Path) -> Workload:
    """Return one file of this length: English recordings joined, over and over; nobody scores it."""
    speech = np.concatenate([decoded(each.path) for each in english(corpus)])
    written(path, np.resize(speech, int(minutes * 60 * RATE)))
    return Workload("hour", (Item(path, minutes * 60),))


def windows(corpus: list[Recording], count: int, path: Path) -> Path:
    """Write so many windows of 30 s of read English as float32 (count, 480000)."""
    read = [each for each in english(corpus) if each.kind in ("read", "long", "sample")]
    speech = np.concatenate([decoded(each.path) for each in read])
    np.save(path, np.resize(speech, (count, WINDOW)).astype(np.float32) / np.float32(32768))
    return path


def english(corpus: list[Recording]) -> list[Recording]:
    """Return the long English recordings, shortest first; all there are in a corpus without a manifest."""
    found = [each for each in corpus if each.language == "en" and each.seconds > LONG_S]
    return sorted(found or corpus, key=lambda each: (each.seconds, each.path))


def in_turn(corpus: Iterable[Recording]) -> list[Recording]:
    """Return the recordings by turns of language, in each by turns of kind, the shortest of it first."""
    by_length = sorted(corpus, key=lambda each: (each.seconds, each.path))
    languages = grouped(by_length, "language")
    return turns([turns(grouped(each, "kind")) for each in languages])


def grouped(corpus: list[Recording], by: Literal["language", "kind"]) -> list[list[Recording]]:
    """Return the recordings in groups of one value, the groups by its name."""
    groups: dict[str, list[Recording]] = defaultdict(list)
    for each in corpus:
        groups[getattr(each, by)].append(each)
    return [groups[value] for value in sorted(groups)]


def turns(groups: list[list[Recording]]) -> list[Recording]:
    """Return the first of each group, then the second of each, and so on."""
    return [each for turn in zip_longest(*groups) for each in turn if each]


def fitting(corpus: Iterable[Recording], seconds: float) -> list[Recording]:
    """Return those that fit, passing over what would be too much; a smaller choice is part of a larger one."""
    chosen: list[Recording] = []
    for each in corpus:
        if each.seconds <= seconds:
            chosen.append(each)
            seconds -= each.seconds
    return chosen


def decoded(path: Path) -> NDArray[np.int16]:
    """Return a file as 16 kHz mono."""
    command = [
        ffmpeg_binary(),
        "-nostdin",
        "-loglevel",
        "error",
        "-i",
        str(path),
        "-ac",
        "1",
        "-ar",
        str(RATE),
    ]
    done = subprocess.run([*command, "-f", "s16le", "-"], capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.int16)


def written(path: Path, pcm: NDArray[np.int16]) -> Path:
    """Write 16 kHz mono samples as a wave file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(pcm.tobytes())
    return path


def _pieces(source: Recording, folder: Path) -> list[Item]:
    cut = pieces.cut(decoded(source.path))
    names = [folder / f"{source.path.stem}-{number:03}.wav" for number in range(len(cut))]
    return [Item(written(name, pcm), len(pcm) / RATE, source) for name, pcm in zip(names, cut, strict=True)]
