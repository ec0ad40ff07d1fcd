"""Exact mode against whisper.transcribe itself, on every recording of a folder: the same text and times.

usage: python -m benchmarks.exact CORPUS [--cases greedy,fallback] [--only fr] [--keep build/exact] [--minutes 60]

Both run Whisper in float32 on the CPU, with the same options; above temperature 0 whisper draws from the seeds of
this project. whisper's results are kept, so that a run that was stopped goes on; this project transcribes all
recordings side by side. The table of differences names the first decoded window that differs, and by how much whisper
preferred its own token there: a gap near 1e-4 is a tie that the order of floating-point sums decides.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch

from benchmarks.differences import Transcript, difference, noted
from benchmarks.whispers import explained, kept, reference
from pipeline.errors import MediaError
from pipeline.options import Options
from pipeline.stage.decode.decoder import Decoder
from pipeline.stage.decode.source import Source
from pipeline.stage.pack.cut import Clip
from pipeline.stage.pack.exact import ExactTrack
from pipeline.stage.transcribe.engine import HOP
from pipeline.stage.transcribe.weights import DEFAULT_CACHE, ensure
from pipeline.stage.transcribe.whisper import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whisper.model import Whisper

    from pipeline.stage.transcribe.engine import Engine, Reply, Request

GREEDY = Options(exact=True, beam_size=None, temperature_increment_on_fallback=None)
CASES = {
    "greedy": GREEDY,
    "fallback": replace(GREEDY, temperature_increment_on_fallback=0.2),
    "strict": replace(GREEDY, temperature_increment_on_fallback=0.4, logprob_threshold=-0.3),
    "beam": Options(exact=True),
    "prompt": replace(GREEDY, initial_prompt="Charles Baudelaire, Jefferson, T-rex."),
    "carried": replace(GREEDY, initial_prompt="Charles Baudelaire, Jefferson.", carry_initial_prompt=True),
    "unconditioned": replace(GREEDY, condition_on_previous_text=False),
    "clips": replace(GREEDY, clip_timestamps="31.5,64,70"),
    "words": replace(GREEDY, word_timestamps=True),
    "hallucinations": replace(GREEDY, word_timestamps=True, hallucination_silence_threshold=1.0),
}
MEDIA = {".flac", ".mp3", ".ogg", ".wav", ".wma", ".aiff", ".mkv", ".mp4", ".m4a", ".opus"}


def main() -> None:
    """Compare each case on a folder; print and keep the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--cases", default="greedy", help=f"a comma list of {', '.join(CASES)}")
    parser.add_argument("--only", default="", help="only paths that hold this")
    parser.add_argument(
        "--keep", type=Path, default=Path("build/exact"), help="for whisper's results and tables"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="that whisper may take in this run")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    checkpoint = ensure("base", DEFAULT_CACHE.expanduser(), lambda *_: None)
    model = reference(checkpoint)
    engine = load(checkpoint, "cpu", "float32", chosen.threads, lambda *_: None)
    found = sorted(each for each in chosen.corpus.rglob("*") if each.suffix in MEDIA)
    paths = [each.relative_to(chosen.corpus) for each in found if chosen.only in str(each)]
    until = time.monotonic() + 60 * chosen.minutes
    for case in chosen.cases.split(","):
        comparison = Comparison(chosen.corpus, CASES[case], model, engine)
        text = comparison.table(comparison.expected(paths, chosen.keep / case, until), len(paths))
        print(f"\n## {case}\n\n{text}", flush=True)
        (chosen.keep / f"{case}.md").write_text(f"## {case}\n\n{text}\n")


@dataclass
class Comparison:
    """One case on one folder."""

    corpus: Path
    options: Options
    model: Whisper
    engine: Engine

    def expected(self, paths: list[Path], store: Path, until: float) -> dict[Path, Transcript]:
        """Return whisper's transcripts, those of earlier runs and as many more as there is time for."""
        transcripts = {}
        for path in paths:
            at = store / f"{path}.json"
            if at.exists() or time.monotonic() < until:
                transcripts[path] = kept(self.model, self.corpus / path, self.options, at)
        return transcripts

    def table(self, expected: dict[Path, Transcript], wanted: int) -> str:
        """Transcribe and compare; return the result for each language, and each difference, as Markdown."""
        began = time.monotonic()
        found = ours(self.engine, [self.corpus / path for path in expected], self.options)
        took, theirs = time.monotonic() - began, sum(each.seconds for each in expected.values())
        rows, counts = [], {}
        for (path, transcript), mine in zip(expected.items(), found, strict=True):
            what = difference(transcript, mine)
            counts.setdefault(path.parts[0], []).append(what is None)
            if what:
                why = explained(self.model, self.options, self.corpus / path, transcript, mine)
                rows.append(f"| {path} | {what} | {why} |")
        lines = [
            f"whisper {theirs:.0f} s, this project {took:.0f} s; {len(found)} of {wanted} files compared",
            "",
        ]
        lines += ["| language | files | equal |", "|---|---|---|"]
        lines += [f"| {name} | {len(each)} | {sum(each)} |" for name, each in counts.items()]
        return "\n".join([*lines, "", "| file | differs in | why |", "|---|---|---|", *rows])


def ours(engine: Engine, paths: Sequence[Path], options: Options) -> list[Transcript]:
    """Return this project's transcripts: all files side by side."""
    transcripts = [Transcript() for _ in paths]
    tracks = {at: track for at, path in enumerate(paths) if (track := opened(engine, path, options))}
    out: dict[int, int] = {}  # the file of each window that is being decoded
    while tracks:
        free = [at for at, track in tracks.items() if track.ready][: engine.slots - engine.running]
        asked = [tracks[at].offer()[1] for at in free]
        out |= {id(request): at for at, request in zip(free, asked, strict=True)}
        engine.admit(asked)
        for request, reply in engine.advance():
            at = out.pop(id(request))
            take(tracks[at], request, reply, transcripts[at])
            if tracks[at].finished:
                transcripts[at].result = result(tracks.pop(at))
    return transcripts


def opened(engine: Engine, path: Path, options: Options) -> ExactTrack | None:
    """Return a file's track after its first pass; None when it has no sound."""
    with Source(os.fsencode(path.parent), os.fsencode(path.name)) as source, Decoder(source) as decoder:
        text = options.initial_prompt
        track = ExactTrack(
            options,
            sha256=source.sha256(lambda: False),
            prompt=engine.prompt(text, options.language) if text else (),
            log_mel_max=engine.log_mel_max,
        )
        try:
            for block in decoder:
                track.feed(Clip(decoder.samples - len(block), block))
        except MediaError:
            return None
    track.end()
    return track


def take(track: ExactTrack, request: Request, reply: Reply, transcript: Transcript) -> None:
    """Note a reply and hand it to its file."""
    seek = (track.waiting_from or 0) // HOP
    transcript.decoded.append(noted(seek, request.frames or 0, request.prompt, reply))
    track.take(seek * HOP, reply)


def result(track: ExactTrack) -> dict[str, Any]:
    """Return a finished file as whisper returns it."""
    segments = [json.loads(msgspec.json.encode(each)) for window in track.windows for each in window.segments]
    track.close()
    text = "".join(each["text"] for each in segments)
    return {"text": text, "segments": segments, "language": track.language}


if __name__ == "__main__":
    main()
