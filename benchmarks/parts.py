"""Where the time of our own stage goes: each part alone, on the windows of the long recordings.

FFmpeg, voice activity and mel are measured one after the other; in the service they overlap. Encoder and decoder do so
in the engine too: their seconds are those that they would take had each all cores. Mel is taken off the encoder's. What
a part can at best take is operations over the peak of matrix products, or bytes over memory bandwidth, whichever is
more.
"""

from __future__ import annotations

import resource
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.arithmetic import BASE
from benchmarks.ours.alone import fresh, replies
from benchmarks.prepare import MODEL
from benchmarks.workloads import decoded
from pipeline.options import Options
from pipeline.stage.pack.cut import Cutter, to_float
from pipeline.stage.transcribe import mel
from pipeline.stage.transcribe.engine import Request
from pipeline.stage.transcribe.load import Loader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.workloads import Item, Workload
    from pipeline.stage.transcribe.engine import Engine

BEAMS = (1, 5)


@dataclass(slots=True)
class Watch:
    """Wall and CPU seconds, children's included."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add what is done inside."""
        wall, cpu = time.perf_counter(), _cpu_s()
        yield
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += _cpu_s() - cpu


def measure(workload: Workload, cache: Path, threads: int) -> dict[str, Any]:
    """Return the parts by beam, with counts of what was done."""
    loader = Loader(kind="whisper", cache=cache, device="cpu", dtype="auto", threads=threads)
    engine = loader.engine(MODEL, lambda _what, _fraction: None)
    before = {"ffmpeg": Watch(), "voice": Watch(), "mel": Watch()}
    requests = [request for item in workload.items for request in cut(item, loader, before)]
    with before["mel"].running(), torch.inference_mode():
        for request in requests:
            mel.log_mels([request], BASE.n_mels, torch.device("cpu"))
    replies(engine, fresh(requests[:1]))
    common = {name: asdict(watch) for name, watch in before.items()}
    return {
        "audio_s": workload.seconds,
        "windows": len(requests),
        "beams": {str(beam): common | engine_parts(engine, requests, beam) for beam in BEAMS},
    }


def cut(item: Item, loader: Loader, watches: dict[str, Watch]) -> list[Request]:
    """Return the windows of one recording, as the stage cuts it."""
    with watches["ffmpeg"].running():
        pcm = decoded(item.path)
    with watches["voice"].running():
        cutter = Cutter(loader.voice(), [(0.0, float("inf"))])
        clips = [*cutter.feed(pcm), *cutter.finish()]
    language = (item.source and item.source.language) or "en"
    return [
        Request(pcm=to_float(clip.pcm), options=Options(), language=language, temperature=0.0)
        for clip in clips
    ]


def engine_parts(engine: Engine, requests: list[Request], beam: int) -> dict[str, Any]:
    """Return the engine's encoding and decoding of these windows, and what else it did."""
    options = Options(beam_size=None if beam == 1 else beam)
    again = fresh(requests, options=options)
    before, whole = replace(engine.effort), Watch()
    with whole.running():
        done = replies(engine, again)
    after = engine.effort
    steps, row_steps = after.steps - before.steps, after.row_steps - before.row_steps
    return {
        "encoder": {"wall_s": after.encoding - before.encoding},  # and mel
        "decoder": {"wall_s": after.decoding - before.decoding},
        "engine": asdict(whole),
        "tokens": sum(len(reply.tokens) for reply in done),
        "steps": steps,
        "row_steps": row_steps,
        "fill": row_steps / (steps * engine.rows) if steps else 0.0,
    }


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
