"""Word error rate of batched mode on a corpus with reference texts, by file and pooled by language; what it costs.

usage: python -m benchmarks.accuracy CORPUS [--languages fr,de] [--beam_size 5] [--dtype int8] [--peers FILE]

CORPUS holds manifest.tsv, tab-separated, with the columns path, language, duration_s, text and kind; files of
language `none` hold no speech, and their words are counted. Beside each rate: the windows encoded for a minute of
sound, and how many were encoded or decoded once more, from their last timestamp (rest) or at a higher temperature
(hotter). FILE is a table with openai-whisper's rates of the same files (file, language, WER_ow_beam5, WER_ow_greedy).
"""

from __future__ import annotations

import argparse
import csv
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.score import errors
from pipeline.options import Options
from pipeline.stage.decode.decoder import Decoder
from pipeline.stage.decode.source import Source
from pipeline.stage.pack.cut import Cutter, parse_clips
from pipeline.stage.pack.packer import Packer
from pipeline.stage.pack.track import Track
from pipeline.stage.transcribe.load import Loader
from pipeline.stage.transcribe.weights import DEFAULT_CACHE

if TYPE_CHECKING:
    from pipeline.stage.pack.packer import Row
    from pipeline.stage.transcribe.engine import Engine, Request

Rates = dict[str, str]  # openai-whisper's, by path and by language


@dataclass
class Tally:
    """What a file or a language came to."""

    errors: int = 0
    words: int = 0
    seconds: float = 0.0
    spent: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Pool another one into this."""
        self.errors += other.errors
        self.words += other.words
        self.seconds += other.seconds
        self.spent += other.spent

    def __str__(self) -> str:
        """Return its columns of the table."""
        rate = f"{100 * self.errors / self.words:6.2f}" if self.words else f"{self.errors:5}w"
        encoded = (self.spent["first"] + self.spent["rest"]) / self.seconds * 60
        return f"{rate} {self.errors:5}/{self.words:<5} {encoded:8.2f} {self.spent['rest']:5} {self.spent['hotter']:6}"


class File:
    """One file of the corpus, cut into windows."""

    def __init__(self, corpus: Path, row: dict[str, str], options: Options, loader: Loader) -> None:
        self.path, self._language, self._reference = row["path"], row["language"], row["text"]
        self._seconds = float(row["duration_s"])
        self._spent: Counter[str] = Counter()
        self._begun: set[int] = set()
        cutter = Cutter(loader.voice(), parse_clips(options.clip_timestamps))
        with Source(os.fsencode(corpus), os.fsencode(self.path)) as source, Decoder(source) as decoder:
            self.track = Track(options, sha256=source.sha256(lambda: False))
            clips = [clip for block in decoder for clip in cutter.feed(block)]
        for clip in [*clips, *cutter.finish()]:
            self.track.feed(clip)
        self.track.end()

    def count(self, window: int, request: Request) -> None:
        """Count a request by why it was made."""
        again = "rest" if window in self._begun else "first"
        self._spent["hotter" if request.temperature else again] += 1
        self._begun.add(window)

    def tally(self) -> Tally:
        """Compare what was heard with the reference."""
        said = " ".join(each.text.strip() for window in self.track.windows for each in window.segments)
        return Tally(*errors(self._reference, said, self._language), self._seconds, self._spent)


def main() -> None:
    """Transcribe the corpus, language by language, and print the table."""
    chosen = _arguments()
    loader = Loader(
        kind="whisper",
        cache=DEFAULT_CACHE.expanduser(),
        device="cpu",
        dtype=chosen.dtype,
        threads=chosen.threads,
    )
    engine = loader.engine(chosen.model, lambda _what, _fraction: None)
    rates = _rates(chosen.peers, "WER_ow_beam5" if chosen.beam_size else "WER_ow_greedy")
    print(f"{'':40}   WER errors/words   win/min  rest hotter  openai-whisper")
    for language, rows in _manifest(chosen.corpus, chosen.languages).items():
        options = Options(
            beam_size=chosen.beam_size or None, language=None if language == "none" else language
        )
        files = [File(chosen.corpus, row, options, loader) for row in rows]
        transcribe(files, engine)
        _show(language, files, rates)


def transcribe(files: list[File], engine: Engine) -> None:
    """Run the windows of all files through the engine, as the worker does."""
    packer, owners = Packer(), {id(file.track): file for file in files}
    for file in files:
        packer.add(file.track)
    running: dict[int, Row] = {}
    while True:
        rows = packer.rows(engine.slots - engine.running, engine.slots, more_coming=False)
        for row in rows:
            owners[id(row.track)].count(row.window, row.request)
        running |= {id(row.request): row for row in rows}
        if not running:
            return
        if rows:
            engine.admit([row.request for row in rows])
        ended = engine.advance()
        for request, language in engine.detected():
            running[id(request)].track.learn(language)
        for request, reply in ended:
            running.pop(id(request)).take(reply)


def _show(language: str, files: list[File], rates: Rates) -> None:
    pooled = Tally()
    for file in files:
        tally = file.tally()
        pooled.add(tally)
        print(f"{file.path:40}{tally}  {rates.get(file.path, '')}")
    print(f"{'pooled: ' + language:40}{pooled}  {rates.get(language, '')}", flush=True)


def _manifest(corpus: Path, languages: str | None) -> dict[str, list[dict[str, str]]]:
    """Return the rows that can be transcribed, by language."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in _table(corpus / "manifest.tsv"):
        if row["kind"] != "video-noaudio" and (not languages or row["language"] in languages.split(",")):
            found.setdefault(row["language"], []).append(row)
    return found


def _rates(table: Path | None, column: str) -> Rates:
    rows = _table(table) if table else []
    totals = {row["language"]: row[column] for row in rows if row["file"].endswith("TOTAL")}
    return totals | {row["file"]: row[column] for row in rows}


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--languages", help="the languages to take, with commas between; else all")
    parser.add_argument("--beam_size", type=int, default=5, help="0 is greedy")
    parser.add_argument("--model", default="base")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, int8, …")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peers", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
