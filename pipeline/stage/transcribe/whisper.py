"""openai-whisper behind the Engine seam: windows are encoded, decoded side by side, and answered as they end."""

from __future__ import annotations

import gc
import time
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
from pipeline.stage.transcribe.devices import settle_on
from pipeline.stage.transcribe.encoder import Encoder
from pipeline.stage.transcribe.encoding import AHEAD, Encoding
from pipeline.stage.transcribe.engine import Effort, OutOfMemory
from pipeline.stage.transcribe.graphs import Cuda, Graphs
from pipeline.stage.transcribe.replies import Ended, replies
from pipeline.stage.transcribe.running import Running, Seat
from pipeline.stage.transcribe.shortage import naming_shortage
from pipeline.stage.transcribe.transfer import uploaded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from whisper.model import Whisper
    from whisper.tokenizer import Tokenizer

    from pipeline.stage.transcribe.decoding import Decoded
    from pipeline.stage.transcribe.encoding import Sound
    from pipeline.stage.transcribe.engine import Reply, Request
    from pipeline.stage.transcribe.graphs import Device
    from pipeline.stage.transcribe.linear import Make
    from pipeline.stage.transcribe.sources import Report
    from pipeline.stage.transcribe.weights import Checkpoint

FEW = 0.9  # of the rows: with fewer the decoder helps to encode
MOST_WINDOWS = 16  # side by side: more gain little, and a batch is what a crash or a pause waits for
STEPS = 4  # of the decoder, until others may join: a window takes some 100
HEARD_BYTES = {"cpu": 1 << 29, "cuda": 1 << 32}  # of keys and values of what a batch heard


def load(checkpoint: Checkpoint, device: str, dtype: str, threads: int, report: Report) -> WhisperEngine:
    """Build the engine of a model on a device ("cpu", "cuda:0"), on a GPU with CUDA graphs.

    Raises ModelUnavailableError when the file is no openai-whisper checkpoint, OutOfMemory when it does not fit.
    """
    with naming_shortage():
        model, make = prepared(checkpoint, device, dtype, threads, report)
        captures = Cuda() if model.device.type == "cuda" else None
        return WhisperEngine(model, checkpoint, make, captures)


def prepared(
    checkpoint: Checkpoint, device: str, dtype: str, threads: int, report: Report
) -> tuple[Whisper, Make]:
    """Return a model on its device, and how its linear maps are made; see load."""
    torch.set_num_threads(threads)
    target = torch.device(device)
    if target.type == "cuda" and not torch.cuda.is_available():
        raise GpuUnavailableError
    report(f"loading {checkpoint.name}", None)
    settle_on(target)
    model = read(checkpoint).to(target).eval()
    return model, precision.apply(fastest.meant(dtype, model, checkpoint.path.parent, report), model)


class WhisperEngine:
    """A loaded openai-whisper model and the windows that it decodes; `captures` is what its steps are captured by."""

    def __init__(
        self, model: Whisper, checkpoint: Checkpoint, make: Make, captures: Device | None = None
    ) -> None:
        self.model = checkpoint.name
        self.sha256 = checkpoint.sha256
        self.rows = _rows(model)
        self.effort = Effort()
        self._cores = torch.get_num_threads()
        self._whisper = model
        self._encoding = Encoding(Encoder(model.encoder, make), model.dims.n_mels, model.device)
        self.slots = self.rows + AHEAD * self._encoding.cores
        self._decoder = Decoder(model.decoder, make)
        _let_go_of_weights(model)
        self._heads = alignment_heads(model)
        self._detected: list[tuple[Request, str]] = []
        graphs = Graphs(captures, self.rows) if captures else None
        self._running = Running(self._decoder, self.rows, graphs)

    @property
    def running(self) -> int:
        """Windows that were admitted and have not ended."""
        return len(self._running) + len(self._encoding)

    @torch.inference_mode()
    def admit(self, requests: Sequence[Request]) -> None:
        """Have windows encoded, and let them join those of their kind; see Engine."""
        for request in requests:
            self._check(request.language)
        with self._at_work(fatal=OutOfMemory):
            self._encoding.add(requests)
            if not self._encoding.cores:
                self._join()

    @torch.inference_mode()
    def advance(self) -> list[tuple[Request, Reply]]:
        """Decode until a window ends, or for some steps; see Engine."""
        with self._at_work(fatal=BaseException):  # the batches may be half a step on
            self._join()
            return self._replies(self._steps())

    def detected(self) -> list[tuple[Request, str]]:
        """Return the languages heard since the last time; see Engine."""
        detected, self._detected = self._detected, []
        return detected

    @torch.inference_mode()
    def drop(self, requests: Sequence[Request]) -> None:
        """Let these leave the running batch without a reply; see Engine."""
        with self._at_work(fatal=BaseException):  # the batches may have been half-way
            gone = {id(request) for request in requests}
            self._encoding.drop(gone)
            self._running.drop(gone)

    def prompt(self, text: str, language: str | None) -> tuple[int, ...]:
        """Return the token ids of an initial prompt."""
        return tuple(self._tokenizer(language, "transcribe").encode(" " + text.strip()))

    @torch.inference_mode()
    def log_mel_max(self, pcm: NDArray[np.float32]) -> float:
        """Return the largest log10 mel value of a stretch that carries its margins."""
        with naming_shortage():
            rows = uploaded(pcm, self._whisper.device)[None]
            return float(mel.log10_mel(rows, self._whisper.dims.n_mels).amax()) if len(pcm) else mel.FLOOR

    def close(self) -> None:
        """Let the model leave the device."""
        self._let_go()
        self._encoding.close()
        del self._whisper, self._encoding, self._decoder, self._running
        _free()

    def _steps(self) -> list[tuple[Seat, Decoded]]:
        for _ in range(STEPS):
            cores, began = self._take_cores(), time.monotonic()
            ended = self._running.step()
            self.effort.decoding += (time.monotonic() - began) * cores / self._cores
            self.effort.steps += 1
            self.effort.row_steps += len(self._running) + len(ended)
            if ended:
                return ended
        return []

    def _take_cores(self) -> int:
        """Decode on those cores that do not encode; return how many they are."""
        cores = self._cores - (self._encoding.cores if self._encoding.at_work else 0)
        torch.set_num_threads(cores)
        return cores

    def _replies(self, ended: Sequence[tuple[Seat, Decoded]]) -> list[tuple[Request, Reply]]:
        windows = [Ended(*seat, decoded) for seat, decoded in ended]
        made = replies(self._decoder, self._heads, windows)
        return [(each.request, reply) for each, reply in zip(windows, made, strict=True)]

    def _join(self) -> None:
        """Let windows that are encoded begin."""
        running = len(self._running)
        taken = self._encoding.take(self.rows - running, hungry=running < FEW * self.rows, idle=not running)
        self.effort.encoding = self._encoding.seconds
        if taken:
            requests, sounds = zip(*taken, strict=True)
            self._running.join(self._seats(requests, sounds), [sound.heard for sound in sounds])

    def _seats(self, requests: Sequence[Request], sounds: Sequence[Sound]) -> list[Seat]:
        languages = self._languages(requests, sounds)
        told = list(zip(requests, languages, strict=True))
        self._detected += [(request, language) for request, language in told if request.language is None]
        return [
            Seat(request, language, self._tokenizer(language, request.options.task))
            for request, language in told
        ]

    def _languages(self, requests: Sequence[Request], sounds: Sequence[Sound]) -> list[str]:
        if not self._whisper.is_multilingual:
            return ["en"] * len(requests)
        known = [request.language for request in requests]
        unknown = [sound.whole for language, sound in zip(known, sounds, strict=True) if language is None]
        detected = detect(self._decoder, unknown, self._tokenizer(None, "transcribe")) if unknown else []
        return [language or detected.pop(0) for language in known]

    def _check(self, language: str | None) -> None:
        is_known = language in tuple(LANGUAGES)[: self._whisper.num_languages]
        if language and self._whisper.is_multilingual and not is_known:
            raise BadOptionsError(
                f"model {self.model} does not know the language {language!r}; take a larger one"
            )

    def _tokenizer(self, language: str | None, task: str) -> Tokenizer:
        return tokenizer_for(self._whisper, language, task)

    @contextmanager
    def _at_work(self, fatal: type[BaseException]) -> Iterator[None]:
        """Work on the cores there are; let all go that runs when something fatal happens to it."""
        self._take_cores()  # voice activity in other threads sets MKL's to one
        try:
            with naming_shortage():
                yield
        except fatal:
            self._let_go()
            _free()
            raise

    def _let_go(self) -> None:
        self._encoding.clear()
        self._running.clear()


def _free() -> None:
    """Give the device back what nothing holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _let_go_of_weights(model: Whisper) -> None:
    """Free the linear layers that ours were made of."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_parameter("weight", None)
            module.register_parameter("bias", None)


def _rows(model: Whisper) -> int:
    """Return how many windows keep the decoder's memory within bounds: 16 of `base`, two of `large` on a CPU."""
    numbers: int = 2 * model.dims.n_text_layer * model.dims.n_audio_ctx * model.dims.n_text_state
    window: int = numbers * model.decoder.token_embedding.weight.itemsize
    return max(1, min(MOST_WINDOWS, HEARD_BYTES[model.device.type] // window))
