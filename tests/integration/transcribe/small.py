"""Random models, one of which ends some of its windows early, and windows for every kind of search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from whisper.model import ModelDimensions, Whisper

from pipeline.options import Options
from pipeline.stage.transcribe.decoding import tokenizer_for
from pipeline.stage.transcribe.engine import Request
from pipeline.stage.transcribe.running import Seat

SMALL = ModelDimensions(
    n_mels=80, n_audio_ctx=1500, n_audio_state=64, n_audio_head=2, n_audio_layer=2,
    n_vocab=51865, n_text_ctx=32, n_text_state=64, n_text_head=2, n_text_layer=2,
)  # fmt: skip
ENDING = 50257
GREEDY = Options(beam_size=None)
SEARCHES = {
    "greedy": (GREEDY, 0.0),
    "beam": (Options(), 0.0),
    "patient": (Options(beam_size=3, patience=2.0, length_penalty=0.4), 0.0),
    "impatient": (Options(beam_size=4, patience=0.5), 0.0),
    "everything": (Options(beam_size=2, suppress_tokens=""), 0.0),
    "sampled": (Options(best_of=2), 0.7),
    "drawn once": (Options(best_of=None), 0.5),
}
PCM = np.zeros(16_000, np.float32)


def random_model(sizes: ModelDimensions, seed: int, spread: float) -> Whisper:
    """Return a model of these sizes with random weights: real code, no real words."""
    torch.manual_seed(seed)
    model = Whisper(sizes)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    return model.eval()


def requests(options: Options, temperature: float) -> list[Request]:
    """Return seven windows of several languages and tasks, with prompts of several lengths."""
    request = Request(pcm=PCM, options=options, language="fr", temperature=temperature)
    other = replace(options, task="translate")
    return [
        request,
        replace(request, prompt=tuple(range(1000, 1005)), seed=1),
        replace(request, language="en", seed=2),
        replace(request, options=other, language="de", prompt=(77,), seed=3),
        replace(request, prompt=tuple(range(2000, 2300)), seed=4),
        replace(request, language="ru", seed=5),
        replace(request, options=other, prompt=tuple(range(400, 420)), seed=6),
    ]


def seats(model: Whisper, rows: list[Request]) -> list[Seat]:
    tokenizers = [tokenizer_for(model, row.language, row.options.task) for row in rows]
    return [Seat(row, str(row.language), each) for row, each in zip(rows, tokenizers, strict=True)]
