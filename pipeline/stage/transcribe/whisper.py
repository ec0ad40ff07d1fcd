"""openai-whisper behind the Engine seam: windows are encoded, decoded side by side, and answered as they end."""

from __future__ import annotations

import gc
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

import silero_vad  # noqa: F401 - sets torch to one thread when imported, so it must come before our own setting
import torch
from whisper.tokenizer import LANGUAGES

from pipeline.errors import BadOptionsError, GpuUnavailableError
from pipeline.stage.transcribe import fastest, mel, precision
from pipeline.stage.transcribe.alignment import alignment_heads
from pipeline.stage.transcribe.checkpoint import read
from pipeline.stage.transcribe.decoder import Decoder
from pipeline.stage.transcribe.decoding import detect, tokenizer_for
from pipeline.stage.transcribe.encoder import Encoder
from pipeline.stage.transcribe.engine import Effort, OutOfMemory
from pipeline.stage.transcribe.replies import Ended, replies
from pipeline.stage.transcribe.running import Running, Seat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from whisper.model import Whisper
    from whisper.tokenizer import Tokenizer

    from pipeline.stage.transcribe.decoding import Decoded
    from pipeline.stage.transcribe.engine import Reply, Request
    from pipeline.stage.transcribe.linear import Make
    from pipeline.stage.transcribe.sources import Report
    from pipeline.stage.transcribe.weights import Checkpoint

MOST_WINDOWS = 16  # in a batch: more gain little, and a batch is what a crash or a pause waits for
STEPS = 8  # of the decoder, until others may join: a window takes some 100
HEARD_BYTES = {"cpu": 1 << 29, "cuda": 1 << 32}  # of keys and values of what a batch heard


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
        model = read(checkpoint).to(target).eval()
        make = precision.apply(fastest.meant(dtype, model, checkpoint.path.parent, report), model)
        return WhisperEngine(model, checkpoint, make)


class WhisperEngine:
    """A loaded openai-whisper model and the windows that it decodes."""

    def __init__(self, model: Whisper, checkpoint: Checkpoint, make: Make) -> None:
        self.model = checkpoint.name
        self.sha256 = checkpoint.sha256
        self.slots = _slots(model)
        self.effort = Effort()
        self._threads = torch.get_num_threads()
        self._whisper = model
        self._encoder, self._decoder = Encoder(model.encoder, make), Decoder(model.decoder, make)
        _let_go_of_weights(model)
        self._heads = alignment_heads(model)
        self._detected: list[tuple[Request, str]] = []
        self._encoded: dict[int, torch.Tensor] = {}  # by the id of a window's pcm
        self._running = Running(self._decoder, self.slots)

    @property
    def running(self) -> int:
        """Windows that were admitted and have not ended."""
        return len(self._running)

    @torch.inference_mode()
    def admit(self, requests: Sequence[Request]) -> None:
        """Encode windows and let them join those of their kind; see Engine."""
        began = time.monotonic()
        with self._at_work(fatal=OutOfMemory):
            features = self._encode(requests)
            self._running.join(self._seats(requests, features), features)
        self.effort.encoding += time.monotonic() - began

    @torch.inference_mode()
    def advance(self) -> list[tuple[Request, Reply]]:
        """Decode until a window ends, or for some steps; see Engine."""
        began = time.monotonic()
        with self._at_work(fatal=BaseException):  # the batches may be half a step on
            replies = self._replies(self._steps())
        self.effort.decoding += time.monotonic() - began
        return replies

    def detected(self) -> list[tuple[Request, str]]:
        """Return the languages heard since the last time; see Engine."""
        detected, self._detected = self._detected, []
        return detected

    @torch.inference_mode()
    def drop(self, requests: Sequence[Request]) -> None:
        """Let these leave the running batch without a reply; see Engine."""
        with self._at_work(fatal=BaseException):  # the batches may have been half-way
            self._running.drop({id(request) for request in requests})

    def prompt(self, text: str, language: str | None) -> tuple[int, ...]:
        """Return the token ids of an initial prompt."""
        return tuple(self._tokenizer(language, "transcribe").encode(" " + text.strip()))

    @torch.inference_mode()
    def log_mel_max(self, pcm: NDArray[np.float32]) -> float:
        """Return the largest log10 mel value of a stretch that carries its margins."""
        with _naming_memory_errors():
            rows = torch.from_numpy(pcm)[None].to(self._whisper.device)
            return float(mel.log10_mel(rows, self._whisper.dims.n_mels).amax()) if len(pcm) else mel.FLOOR

    def close(self) -> None:
        """Let the model leave the device."""
        self._free()
        del self._whisper, self._encoder, self._decoder, self._running

    def _steps(self) -> list[tuple[Seat, Decoded]]:
        for _ in range(STEPS):
            self.effort.steps += 1
            self.effort.row_steps += len(self._running)
            if ended := self._running.step():
                return ended
        return []

    def _replies(self, ended: Sequence[tuple[Seat, Decoded]]) -> list[tuple[Request, Reply]]:
        windows = [Ended(*seat, decoded) for seat, decoded in ended]
        made = replies(self._decoder, self._heads, windows)
        return [(each.request, reply) for each, reply in zip(windows, made, strict=True)]

    def _encode(self, requests: Sequence[Request]) -> list[torch.Tensor]:
        """Return the encoder's output for each window, remembered from an earlier temperature or new."""
        new = [request for request in requests if id(request.pcm) not in self._encoded]
        if new:
            self._remember(new, self._encoder(mel.blanked(self._mels(new), new), list(map(mel.context, new))))
        return [self._encoded[id(request.pcm)] for request in requests]

    def _seats(self, requests: Sequence[Request], features: Sequence[torch.Tensor]) -> list[Seat]:
        languages = self._languages(requests, features)
        told = list(zip(requests, languages, strict=True))
        self._detected += [(request, language) for request, language in told if request.language is None]
        return [
            Seat(request, language, self._tokenizer(language, request.options.task))
            for request, language in told
        ]

    def _remember(self, requests: Sequence[Request], features: Sequence[torch.Tensor]) -> None:
        """Keep what the encoder made of a window for its next temperature, as long as its samples are kept."""
        for request, row in zip(requests, features, strict=True):
            self._encoded[id(request.pcm)] = row
            weakref.finalize(request.pcm, self._encoded.pop, id(request.pcm), None)

    def _mels(self, requests: Sequence[Request]) -> torch.Tensor:
        return mel.log_mels(requests, self._whisper.dims.n_mels, self._whisper.device)

    def _languages(self, requests: Sequence[Request], features: Sequence[torch.Tensor]) -> list[str]:
        known = [request.language for request in requests]
        if not self._whisper.is_multilingual:
            return ["en"] * len(requests)
        unknown = [row for row, language in enumerate(known) if language is None]
        if unknown:
            detected = self._detect([requests[row] for row in unknown], [features[row] for row in unknown])
            known = [language or detected.pop(0) for language in known]
        return [self._understood(language) for language in known]

    def _detect(self, requests: Sequence[Request], features: list[torch.Tensor]) -> list[str]:
        """Detect languages in one batch; in exact mode on all 30 s, which the decoder may not be shown."""
        exact = [row for row, request in enumerate(requests) if request.frames is not None]
        if exact:
            whole = self._encoder(self._mels([requests[row] for row in exact]), [mel.POSITIONS] * len(exact))
            for row, each in zip(exact, whole, strict=True):
                features[row] = each
        return detect(self._decoder, features, self._tokenizer(None, "transcribe"))

    def _understood(self, language: str | None) -> str:
        if language in tuple(LANGUAGES)[: self._whisper.num_languages]:
            return str(language)
        raise BadOptionsError(
            f"model {self.model} does not know the language {language!r}; take a larger one"
        )

    def _tokenizer(self, language: str | None, task: str) -> Tokenizer:
        return tokenizer_for(self._whisper, language, task)

    @contextmanager
    def _at_work(self, fatal: type[BaseException]) -> Iterator[None]:
        """Work on all threads; let all go that runs when something fatal happens to it."""
        torch.set_num_threads(self._threads)  # voice activity in other threads sets MKL's to one
        try:
            with _naming_memory_errors():
                yield
        except fatal:
            self._free()
            raise

    def _free(self) -> None:
        self._encoded.clear()
        self._running.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _let_go_of_weights(model: Whisper) -> None:
    """Free the linear layers that ours were made of."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_parameter("weight", None)
            module.register_parameter("bias", None)


def _slots(model: Whisper) -> int:
    """Return how many windows keep the decoder's memory within bounds: 16 of `base`, two of `large` on a CPU."""
    numbers: int = 2 * model.dims.n_text_layer * model.dims.n_audio_ctx * model.dims.n_text_state
    window: int = numbers * model.decoder.token_embedding.weight.itemsize
    return max(1, min(MOST_WINDOWS, HEARD_BYTES[model.device.type] // window))


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
