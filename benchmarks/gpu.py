"""`make gpu`: the engine's throughput on a CUDA GPU; without one it says so and that is all.

usage: python -m benchmarks.gpu [--device cuda|cpu] [--shapes large-v3] [--beam 1] [--windows 128] [--tokens 100]

The shapes' weights are random, but for a script in the decoder: each window's tokens, and where they end, are known
beforehand, while every product is computed in full. Windows carry prompts of different lengths, so that they end at
different steps, as speech does. Base runs with its real weights on samples/ too, where both and FFmpeg are at hand.
On a GPU everything runs twice, with CUDA graphs and without. Needs torch, openai-whisper and silero-vad, no network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.arithmetic import BASE, LARGE_V3, TINY, Sizes
from benchmarks.ours.alone import fresh, replies
from pipeline.errors import PipelineError
from pipeline.options import Options
from pipeline.stage.transcribe import weights, whisper
from pipeline.stage.transcribe.engine import WINDOW_SAMPLES, Request
from pipeline.stage.transcribe.graphs import Cuda
from pipeline.stage.transcribe.weights import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.stage.transcribe.engine import Engine

ROOT = Path(__file__).parents[1]
SHAPES = {"tiny": TINY, "base": BASE, "large-v3": LARGE_V3}
WINDOW_S = 30.0
SEED = 20_250_625
LOUD = 20.0  # times as loud as the token before it: the token that the script wants
LONGEST_PROMPT = 40
PREFIX = 4  # special tokens around a prompt
TEXT = 50_000  # ordinary tokens
END = 50_257  # <|endoftext|> of a multilingual model


def main() -> None:
    """Measure what was asked for, one JSON line each."""
    chosen = arguments()
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA GPU here: nothing was measured (--device cpu --shapes tiny runs the same code, small)")
        return
    for name in chosen.shapes.split(","):
        with tempfile.TemporaryDirectory() as folder:
            report(f"{name}, random weights", scripted(Path(folder), name, chosen), noise(chosen), chosen)
    for title, checkpoint, requests in real(chosen):
        report(title, checkpoint, requests, chosen)


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    parser.add_argument("--shapes", default="base,large-v3", help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--beam", type=int, default=1)
    parser.add_argument("--windows", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=100, help="a window, at least; up to 40 more")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/whisper").expanduser())
    return parser.parse_args()


def scripted(folder: Path, name: str, chosen: argparse.Namespace) -> Checkpoint:
    """Return a checkpoint of these shapes, as any other."""
    path = folder / f"{name}.pt"
    content = {"dims": asdict(SHAPES[name]), "model_state_dict": random_weights(SHAPES[name], chosen.tokens)}
    torch.save(content, path)
    return Checkpoint(path, name, hashlib.sha256(name.encode()).hexdigest())


def loaded(checkpoint: Checkpoint, chosen: argparse.Namespace, *, graphs: bool) -> Engine:
    """Return the engine, which captures its steps or does not."""
    model, make = whisper.prepared(
        checkpoint, chosen.device, chosen.dtype, chosen.threads, lambda _what, _fraction: None
    )
    return whisper.WhisperEngine(model, checkpoint, make, Cuda() if graphs else None)


def random_weights(sizes: Sizes, tokens: int) -> dict[str, torch.Tensor]:
    """Return weights with which the token at each position follows from the position alone.

    What the decoder's layers would add is multiplied by zero at the end of each; the position's embedding is that of
    the wanted token, loud.
    """
    import whisper as openai  # noqa: PLC0415 - the name is ours above

    torch.manual_seed(SEED)
    model = openai.model.Whisper(openai.model.ModelDimensions(**asdict(sizes)))
    found = {name: value.half() for name, value in model.state_dict().items()}
    for name, value in found.items():
        if name.startswith("decoder.blocks") and name.split(".", 3)[3].startswith(
            ("attn.out", "cross_attn.out", "mlp.2")
        ):
            value.zero_()
    embedding = torch.nn.functional.normalize(torch.randn(sizes.n_vocab, sizes.n_text_state))
    found["decoder.token_embedding.weight"] = embedding.half()
    found["decoder.positional_embedding"] = (LOUD * embedding[script(sizes, tokens)]).half()
    return found


def script(sizes: Sizes, tokens: int) -> torch.Tensor:
    """Return the token wanted after each position: words, the last timestamp, the end."""
    last = PREFIX + LONGEST_PROMPT + tokens
    wanted = torch.randint(0, TEXT, (sizes.n_text_ctx,))
    wanted[last:] = END
    wanted[last - 1] = sizes.n_vocab - 1
    return wanted


def noise(chosen: argparse.Namespace) -> list[Request]:
    """Return windows of noise whose prompts' lengths differ: what follows a longer one is shorter."""
    random = np.random.default_rng(SEED)
    pcm = (random.standard_normal(WINDOW_SAMPLES) * 0.1).astype(np.float32)
    options = Options(beam_size=None if chosen.beam == 1 else chosen.beam)
    lengths = random.integers(0, LONGEST_PROMPT, chosen.windows)
    return [
        Request(
            pcm=pcm.copy(),
            options=options,
            language="en",
            temperature=0.0,
            prompt=tuple(int(token) for token in random.integers(0, TEXT, length)),
        )
        for length in lengths
    ]


def real(chosen: argparse.Namespace) -> Iterator[tuple[str, Checkpoint, list[Request]]]:
    """Yield base with its real weights on samples/, where both and FFmpeg are at hand."""
    try:
        checkpoint = weights.find("base", chosen.cache)
        from benchmarks.workloads import decoded, recordings  # noqa: PLC0415 - needs FFmpeg's package

        speech = [decoded(each.path) for each in recordings(ROOT / "samples")]
    except (PipelineError, ImportError, OSError) as error:
        print(f"base with its real weights: not measured ({error})")
        return
    pcm = np.concatenate(speech)[:WINDOW_SAMPLES].astype(np.float32) / np.float32(32768)
    requests = [
        replace(each, pcm=np.roll(pcm, 160 * row), prompt=()) for row, each in enumerate(noise(chosen))
    ]
    yield "base, real weights", checkpoint, requests


def report(title: str, checkpoint: Checkpoint, requests: list[Request], chosen: argparse.Namespace) -> None:
    """Measure a model on these windows, on a GPU with graphs and without."""
    for graphs in (True, False) if chosen.device.startswith("cuda") else (False,):
        engine = loaded(checkpoint, chosen, graphs=graphs)
        figures = {"what": title, "graphs": graphs, **measured(engine, requests, chosen)}
        print(json.dumps(figures), flush=True)
        engine.close()


def measured(engine: Engine, requests: list[Request], chosen: argparse.Namespace) -> dict[str, Any]:
    """Run the windows once to warm up, once by the clock and once under the profiler; return the figures."""
    replies(engine, fresh(requests[: 2 * engine.slots]))
    again = fresh(requests)
    before = replace(engine.effort)
    began = time.perf_counter()
    done = replies(engine, again)
    taken = time.perf_counter() - began
    after = engine.effort
    steps = after.steps - before.steps
    return {
        "device": device_name(chosen.device),
        "beam": chosen.beam,
        "windows": len(requests),
        "rows": engine.rows,
        "seconds": round(taken, 3),
        "windows_per_s": round(len(requests) / taken, 2),
        "real_time_factor": round(len(requests) * WINDOW_S / taken, 1),
        "tokens_per_window": round(sum(len(reply.tokens) for reply in done) / len(done), 1),
        "encoding_s": round(after.encoding - before.encoding, 3),
        "decoding_s": round(after.decoding - before.decoding, 3),
        "fill": round((after.row_steps - before.row_steps) / (steps * engine.rows), 3),
        "busy": round(busy_share(engine, requests, chosen), 3),
    }


def device_name(device: str) -> str:
    """Return the GPU's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def busy_share(engine: Engine, requests: list[Request], chosen: argparse.Namespace) -> float:
    """Return the share of the wall time in which the device had something to do; of all threads' on a CPU."""
    on_gpu = chosen.device.startswith("cuda")
    watching: Any = (
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) if on_gpu else nullcontext()
    )
    again = fresh(requests)
    began, cpu = time.perf_counter(), time.process_time()
    with watching:
        replies(engine, again)
    taken = time.perf_counter() - began
    if not on_gpu:
        return (time.process_time() - cpu) / (taken * int(chosen.threads))
    spans = [(each.time_range.start, each.time_range.end) for each in watching.events()]
    return covered(spans) / 1e6 / taken


def covered(spans: list[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


if __name__ == "__main__":
    main()
