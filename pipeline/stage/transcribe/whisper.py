"""openai-whisper behind the Engine seam: windows of several files in one call."""

from __future__ import annotations

import gc
import pickle
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

import silero_vad  # noqa: F401 - sets torch to one thread when imported, so it must come before our own setting
import torch
import whisper
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import LANGUAGES

from pipeline.errors import BadOptionsError, GpuUnavailableError, ModelUnavailableError
from pipeline.stage.transcribe import mel
from pipeline.stage.transcribe.decoder import Decoder
from pipeline.stage.transcribe.decoding import decode, detect, tokenizer_for
from pipeline.stage.transcribe.encoder import Encoder
from pipeline.stage.transcribe.engine import Effort, OutOfMemory, Reply
from pipeline.stage.transcribe.segments import cut
from pipeline.stage.transcribe.sources import official
from pipeline.stage.transcribe.words import EncodedModel, with_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from whisper.tokenizer import Tokenizer

    from pipeline.stage.transcribe.decoding import Decoded
    from pipeline.stage.transcribe.engine import Request
    from pipeline.stage.transcribe.sources import Report
    from pipeline.stage.transcribe.weights import Checkpoint

MOST_WINDOWS = 16  # in a batch: more gain little, and a batch is what a crash or a pause waits for
HEARD_BYTES = {"cpu": 1 << 29, "cuda": 1 << 32}  # of keys and values of what a batch heard
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load(checkpoint: Checkpoint, device: str, dtype: str, threads: int, report: Report) -> WhisperEngine:
    """Build the model from its checkpoint on a device ("cpu", "cuda:0").

    Raises ModelUnavailableError when the file is no openai-whisper checkpoint, OutOfMemory when it does not fit.
    """
    torch.set_num_threads(threads)
    target = torch.device(device)
    if target.type == "cuda" and not torch.cuda.is_available():
        raise GpuUnavailableError
    report(f"loading {checkpoint.name}", None)
    with _naming_memory_errors():
        model = _model(checkpoint)
        _store_as(model, _dtype(dtype, target, report))
        return WhisperEngine(model.to(target).eval(), checkpoint)


class WhisperEngine:
    """A loaded openai-whisper model."""

    def __init__(self, model: Whisper, checkpoint: Checkpoint) -> None:
        self.model = checkpoint.name
        self.sha256 = checkpoint.sha256
        self.slots = _slots(model)
        self.effort = Effort()
        self._running: list[Request] = []
        self._whisper = model
        self._encode_mels, self._decoder = Encoder(model.encoder), Decoder(model.decoder)
        self._encoded: dict[int, torch.Tensor] = {}  # by the id of a window's pcm

    @property
    def running(self) -> int:
        """Windows that have not ended."""
        return len(self._running)

    def admit(self, requests: Sequence[Request]) -> None:
        """Let these windows join the next batch."""
        self._running += requests

    @torch.inference_mode()
    def advance(self) -> list[tuple[Request, Reply]]:
        """Transcribe all running windows together."""
        requests, self._running = self._running, []
        began = time.monotonic()
        try:
            with _naming_memory_errors():
                replies = self._transcribe(requests)
        except OutOfMemory:
            self._free_cache()
            raise
        self.effort.decoding += time.monotonic() - began
        self.effort.steps += 1
        self.effort.row_steps += len(requests)
        return list(zip(requests, replies, strict=True))

    def drop(self, requests: Sequence[Request]) -> None:
        """Let these leave."""
        gone = {id(request) for request in requests}
        self._running = [request for request in self._running if id(request) not in gone]

    def prompt(self, text: str, language: str | None) -> tuple[int, ...]:
        """Return the token ids of an initial prompt."""
        return tuple(self._tokenizer(language, "transcribe").encode(" " + text.strip()))

    @torch.inference_mode()
    def log_mel_max(self, pcm: NDArray[np.float32]) -> float:
        """Return the largest log10 mel value of a stretch that carries its margins."""
        rows = torch.from_numpy(pcm)[None].to(self._whisper.device)
        return float(mel.log10_mel(rows, self._whisper.dims.n_mels).amax()) if len(pcm) else mel.FLOOR

    def close(self) -> None:
        """Let the model leave the device."""
        del self._whisper, self._encode_mels, self._decoder
        self._free_cache()

    def _transcribe(self, requests: Sequence[Request]) -> list[Reply]:
        features, languages = self._encode(requests)
        tokenizers = [
            tokenizer_for(self._whisper, language, request.options.task)
            for request, language in zip(requests, languages, strict=True)
        ]
        results = decode(self._decoder, features, requests, tokenizers)
        rows = zip(requests, results, features, languages, tokenizers, strict=True)
        return [self._reply(*row) for row in rows]

    def _encode(self, requests: Sequence[Request]) -> tuple[torch.Tensor, list[str]]:
        """Return the encoder's output for each window, remembered from an earlier temperature or new; languages."""
        new = [request for request in requests if id(request.pcm) not in self._encoded]
        if new:
            self._remember(new, self._encoder(mel.blanked(self._mels(new), new)))
        features = torch.stack([self._encoded[id(request.pcm)] for request in requests])
        return features, self._languages(requests, features)

    def _remember(self, requests: Sequence[Request], features: torch.Tensor) -> None:
        """Keep what the encoder made of a window for its next temperature, as long as its samples are kept."""
        for request, row in zip(requests, features, strict=True):
            self._encoded[id(request.pcm)] = row
            weakref.finalize(request.pcm, self._encoded.pop, id(request.pcm), None)

    def _mels(self, requests: Sequence[Request]) -> torch.Tensor:
        return mel.log_mels(requests, self._whisper.dims.n_mels, self._whisper.device)

    def _encoder(self, mels: torch.Tensor) -> torch.Tensor:
        """Encode windows; on a CPU one by one, as a batch gains nothing there and costs memory."""
        step = 1 if mels.device.type == "cpu" else len(mels)
        return torch.cat([self._encode_mels(part) for part in torch.split(mels, step)])

    def _languages(self, requests: Sequence[Request], features: torch.Tensor) -> list[str]:
        known = [request.language for request in requests]
        if not self._whisper.is_multilingual:
            return ["en"] * len(requests)
        unknown = [row for row, language in enumerate(known) if language is None]
        if unknown:
            detected = self._detect([requests[row] for row in unknown], features[unknown])
            known = [language or detected.pop(0) for language in known]
        return [self._understood(language) for language in known]

    def _detect(self, requests: Sequence[Request], features: torch.Tensor) -> list[str]:
        """Detect languages in one batch; in exact mode on all 30 s, which the decoder may not be shown."""
        if any(request.frames is not None for request in requests):
            features = self._encoder(self._mels(requests))
        return detect(self._decoder, features, self._tokenizer(None, "transcribe"))

    def _understood(self, language: str | None) -> str:
        if language in tuple(LANGUAGES)[: self._whisper.num_languages]:
            return str(language)
        raise BadOptionsError(
            f"model {self.model} does not know the language {language!r}; take a larger one"
        )

    def _reply(
        self, request: Request, result: Decoded, features: torch.Tensor, language: str, tokenizer: Tokenizer
    ) -> Reply:
        frames = mel.content_frames(request)
        segments, consumed, single_ending = cut(result.tokens, tokenizer, frames)
        if request.options.word_timestamps:
            segments = with_words(
                segments, EncodedModel(self._whisper, features[None]), tokenizer, request, frames
            )
        return Reply(
            language=language,
            segments=tuple(segments),
            tokens=result.tokens,
            consumed=consumed,
            temperature=request.temperature,
            avg_logprob=result.avg_logprob,
            compression_ratio=result.compression_ratio,
            no_speech_prob=result.no_speech_prob,
            single_ending=single_ending,
        )

    def _tokenizer(self, language: str | None, task: str) -> Tokenizer:
        return tokenizer_for(self._whisper, language, task)

    def _free_cache(self) -> None:
        self._encoded.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _model(checkpoint: Checkpoint) -> Whisper:
    try:
        content = torch.load(checkpoint.path, map_location="cpu", weights_only=True, mmap=True)
        model = Whisper(ModelDimensions(**content["dims"]))
        model.load_state_dict(content["model_state_dict"])
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise ModelUnavailableError(
            f"{checkpoint.path} is no checkpoint of openai-whisper ({error})"
        ) from error
    if heads := _alignment_heads(checkpoint):
        model.set_alignment_heads(heads)
    return model


def _slots(model: Whisper) -> int:
    """Return how many windows keep the decoder's memory within bounds: 16 of `base`, two of `large` on a CPU."""
    numbers: int = 2 * model.dims.n_text_layer * model.dims.n_audio_ctx * model.dims.n_text_state
    window: int = numbers * model.decoder.token_embedding.weight.itemsize
    return max(1, min(MOST_WINDOWS, HEARD_BYTES[model.device.type] // window))


def _alignment_heads(checkpoint: Checkpoint) -> bytes | None:
    """Return the heads that word timestamps read; a path to one of whisper's own files has its model's."""
    heads: dict[str, bytes] = whisper._ALIGNMENT_HEADS  # noqa: SLF001 - published nowhere else
    named = (name for name in heads if checkpoint.sha256 == official(name).sha256)
    return heads.get(checkpoint.name) or heads.get(next(named, ""))


def _dtype(name: str, device: torch.device, report: Report) -> torch.dtype:
    if name == "auto":
        return torch.float16 if device.type == "cuda" else _fast_on_cpu()
    if name not in DTYPES:
        raise BadOptionsError(f"dtype {name!r}: this engine has auto, {', '.join(DTYPES)}")
    if name == "float16" and device.type == "cpu":
        report("float16 is slow on a CPU: using float32", None)
        return torch.float32
    return DTYPES[name]


def _fast_on_cpu() -> torch.dtype:
    """Return bfloat16 where the processor multiplies it: twice to four times as fast, and no word error rate more.

    By its features and not by a measurement, which could choose otherwise in the next process.
    """
    features = torch.cpu.get_capabilities()
    fast = features.get("avx512_bf16") or features.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32


def _store_as(model: Whisper, dtype: torch.dtype) -> None:
    """Keep large weights in the type they are computed in; layer norms stay float32, as in whisper."""
    for module in model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Embedding)):
            module.to(dtype)


@contextmanager
def _naming_memory_errors() -> Iterator[None]:
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(str(error)) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error):  # torch's CPU allocator has no class of its own
            raise OutOfMemory(str(error)) from error
        raise
