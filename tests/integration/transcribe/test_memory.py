"""Memory that runs out in the real engine: fewer windows side by side, nothing lost, the same words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from whisper.model import Whisper

from pipeline.options import Options
from pipeline.relay.messages import Job
from pipeline.stage.transcribe.engine import Reply, Request
from pipeline.stage.transcribe.weights import Checkpoint
from pipeline.stage.transcribe.whisper import WhisperEngine, load
from pipeline.stage.work.batch import Batch
from pipeline.stage.work.flight import failure

MORE_THAN_THERE_IS = 1 << 60
WINDOWS = 4


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def engine(tiny_model: Whisper, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WhisperEngine]:
    path = tmp_path / "tiny.pt"
    torch.save({"dims": asdict(tiny_model.dims), "model_state_dict": tiny_model.state_dict()}, path)
    checkpoint = Checkpoint(path, str(path), "0" * 64)
    yield load(checkpoint, "cpu", "float32", request.param, lambda _what, _fraction: None)
    torch.set_num_threads(1)


def windows() -> list[Request]:
    chance = np.random.default_rng(1)
    every = [chance.normal(0, 0.1, (1 + number) * 16_000).astype(np.float32) for number in range(WINDOWS)]
    return [
        Request(pcm=pcm, options=Options(beam_size=None), language="fr", temperature=0.0) for pcm in every
    ]


def answered(made: Batch, requests: list[Request]) -> list[Reply | Exception]:
    """Return what became of each window."""
    ends: dict[int, Reply | Exception] = {}
    waiting = list(requests)
    while waiting or made.size:
        joining, waiting = waiting[: made.free], waiting[made.free :]
        made.join(joining)
        ends |= {id(request): end for request, end in made.advance()}
    return [ends[id(request)] for request in requests]


def said(ends: list[Reply | Exception]) -> list[object]:
    return [each if isinstance(each, Exception) else [part.tokens for part in each.segments] for each in ends]


def exhausted(engine: WhisperEngine, room: int, monkeypatch: pytest.MonkeyPatch, *, where: str) -> None:
    """Have torch's allocator fail for more than so many windows: while they join, or while they are decoded."""
    if where == "joining":
        encode = engine._encoding._together

        def joining(requests: Sequence[Request]) -> object:
            coming = 0 if engine._encoding.cores else len(requests)  # else they count as running already
            crowd = max(1, engine.running + coming) > room
            return torch.empty(MORE_THAN_THERE_IS) if crowd else encode(requests)

        monkeypatch.setattr(engine._encoding, "_together", joining)
    else:
        step = engine._running.step

        def decoding() -> object:
            return torch.empty(MORE_THAN_THERE_IS) if engine.running > room else step()

        monkeypatch.setattr(engine._running, "step", decoding)


@pytest.mark.parametrize("where", ["joining", "decoding"])
def test_short_memory_means_fewer_windows_and_the_same_words(
    engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Halved until they fit, which is remembered; every window is answered once."""
    calm = said(answered(Batch(engine, guess=0.0, on_gpu=False), windows()))
    exhausted(engine, 2, monkeypatch, where=where)
    short = Batch(engine, guess=0.0, on_gpu=False)
    assert said(answered(short, windows())) == calm
    assert short.slots == 2


def test_a_window_that_fits_nowhere_is_tried_another_time(
    engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host may have more memory then: transient, with a code of its own."""
    exhausted(engine, 0, monkeypatch, where="joining")
    (error,) = answered(Batch(engine, guess=0.0, on_gpu=False), windows()[:1])
    assert isinstance(error, MemoryError)
    job = Job(epoch=1, token=1, file_id=1, path=b"a.wav", size=1, mtime_ns=1, options=Options())
    assert (failure(job, error).kind, failure(job, error).code) == ("transient", "out_of_memory")
