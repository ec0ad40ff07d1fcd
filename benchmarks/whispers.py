"""openai-whisper's side of the comparison of exact mode: what it makes of a file, and why it said so."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
import whisper
from whisper.audio import N_FRAMES, N_SAMPLES
from whisper.decoding import DecodingOptions, DecodingTask

from benchmarks.differences import Decoded, Transcript, asked_otherwise, first_other, noted, parting
from pipeline.stage.pack.thresholds import seed, temperatures
from pipeline.stage.transcribe.engine import HOP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.options import Options
    from pipeline.stage.transcribe.weights import Checkpoint

PASSED_ON = (
    "language", "task", "length_penalty", "suppress_tokens", "initial_prompt", "carry_initial_prompt",
    "condition_on_previous_text", "word_timestamps", "clip_timestamps", "hallucination_silence_threshold",
    "compression_ratio_threshold", "logprob_threshold", "no_speech_threshold", "beam_size", "best_of", "patience",
)  # fmt: skip


def reference(checkpoint: Checkpoint) -> whisper.Whisper:
    """Return openai-whisper's own model; given by path, it has to be told its alignment heads."""
    model = whisper.load_model(str(checkpoint.path), device="cpu")
    model.set_alignment_heads(whisper._ALIGNMENT_HEADS[checkpoint.name])  # noqa: SLF001 - published nowhere else
    return model


class Observed:
    """openai-whisper's model for one file: sampling is seeded as in exact mode, and what is decoded is noted."""

    def __init__(self, model: whisper.Whisper, sha256: str) -> None:
        self._model, self._sha256 = model, sha256
        self.seek = self.frames = 0
        self.decoded: list[Decoded] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """Return the logits, for word timestamps."""
        return self._model(*inputs)

    def decode(self, mel: torch.Tensor, options: DecodingOptions) -> Any:
        """Decode as the model does."""
        torch.manual_seed(seed(self._sha256, self.seek * HOP, round(options.temperature, 6)))
        result = self._model.decode(mel, options)
        self.decoded.append(noted(self.seek, self.frames, list(options.prompt or ()), result))
        return result

    @contextmanager
    def seeking(self) -> Iterator[None]:
        """Follow where whisper.transcribe cuts its windows out of the file's spectrogram."""
        module = sys.modules["whisper.transcribe"]
        original = module.pad_or_trim

        def follow(mel: torch.Tensor, length: int) -> torch.Tensor:
            self.seek, self.frames = mel.storage_offset(), mel.shape[-1]
            return original(mel, length)

        module.pad_or_trim = follow
        try:
            yield
        finally:
            module.pad_or_trim = original


def theirs(model: whisper.Whisper, path: Path, sha256: str, options: Options) -> Transcript:
    """Return whisper's transcript; nothing for a file without sound."""
    observed = Observed(model, sha256)
    named = {name: getattr(options, name) for name in PASSED_ON}
    steps = tuple(temperatures(options))
    began = time.monotonic()
    try:
        with observed.seeking():
            result = whisper.transcribe(observed, str(path), temperature=steps, fp16=False, **named)
    except RuntimeError:  # whisper.load_audio's
        result = {}
    return Transcript(result, observed.decoded, time.monotonic() - began)


def kept(model: whisper.Whisper, path: Path, options: Options, store: Path) -> Transcript:
    """Return whisper's transcript, of an earlier run if there is one."""
    if not store.exists():
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        store.parent.mkdir(parents=True, exist_ok=True)
        partial = store.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(theirs(model, path, sha256, options)), default=float))
        partial.replace(store)
    return Transcript(**json.loads(store.read_text()))


def explained(
    model: whisper.Whisper, options: Options, path: Path, theirs: Transcript, ours: Transcript
) -> str:
    """Say at which decoded window two transcripts part, and why."""
    place = parting(theirs, ours)
    if place is None:
        return "the same windows were decoded to the same tokens"
    number, how = place
    if how == "asked":
        return asked_otherwise(theirs, ours, number)
    window, language = theirs.decoded[number], theirs.result["language"]
    choice = DecodingOptions(language=language, task=options.task, prompt=window["prompt"], fp16=False)
    task = DecodingTask(model, choice)
    at, own, other = first_other(window["tokens"], ours.decoded[number]["tokens"], task.tokenizer.eot)
    logits = preferences(model, task, path, window, at)
    names = " and ".join(repr(task.tokenizer.decode_with_timestamps([token])) for token in (own, other))
    where = f"window at {window['seek'] / 100} s, temperature {window['temperature']}, token {at}"
    return f"{where}: {names}, logits {logits[own] - logits[other]:.6f} apart"


@torch.inference_mode()
def preferences(
    model: whisper.Whisper, task: DecodingTask, path: Path, window: Decoded, at: int
) -> torch.Tensor:
    """Return whisper's logits for a token of a window that it decoded."""
    sound = whisper.log_mel_spectrogram(str(path), model.dims.n_mels, padding=N_SAMPLES)
    frames = sound[:, window["seek"] : window["seek"] + window["frames"]]
    features = model.embed_audio(whisper.pad_or_trim(frames, N_FRAMES)[None])
    tokens = torch.tensor([[*task.initial_tokens, *window["tokens"][:at]]])
    logits = model.logits(tokens, features)[:, -1]
    for rule in task.logit_filters:
        rule.apply(logits, tokens)
    return logits[0]
