"""An Engine without a model: the text derives from the samples, and misbehaviour can be ordered.

Environment: WHISPER_FAKE_DELAY (seconds a window: they end one by one, however many run side by side),
WHISPER_FAKE_BATCH (slots), WHISPER_FAKE_LOAD (seconds to load), WHISPER_FAKE_LOG (a file that gets a line for each
window that is begun). By content, as an engine sees no names: a window in which MARKER is followed by one of the
orders (see `marked`) makes the engine crash, hang, run out of memory or fail.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.stage.transcribe.engine import SAMPLE_RATE, Effort, Heard, OutOfMemory, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.stage.transcribe.engine import Request

MARKER = 31_000  # a sample of this value, then one that says what to do
CRASH, HANG, NO_MEMORY, FAILURE = 1, 2, 3, 4
_WORDS = (
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliett",
    "kilo",
    "lima",
)
LANGUAGE = "en"
_LONG_S = 3600.0


class FakeEngine:
    """Says the same words for the same samples, in the language asked for or English."""

    def __init__(self, model: str = "fake") -> None:
        time.sleep(float(os.environ.get("WHISPER_FAKE_LOAD", "0")))
        self.model = model
        self.sha256 = hashlib.sha256(model.encode()).hexdigest()
        self.slots = int(os.environ.get("WHISPER_FAKE_BATCH", "4"))
        self.effort = Effort()
        self._delay = float(os.environ.get("WHISPER_FAKE_DELAY", "0"))
        self._running: list[Request] = []
        self._detected: list[tuple[Request, str]] = []

    @property
    def rows(self) -> int:
        """Windows side by side: all that it has."""
        return self.slots

    @property
    def running(self) -> int:
        """Windows that have not ended."""
        return len(self._running)

    def admit(self, requests: Sequence[Request]) -> None:
        """Begin these windows, and do what is ordered in them."""
        assert len(requests) <= self.slots - self.running, "no room"  # noqa: S101 - the caller's promise
        for request in requests:
            self._log(request)
            self._obey(_order(request.pcm), beside=self.running + len(requests) - 1)
        self._running += requests
        self._detected += [(request, LANGUAGE) for request in requests if request.language is None]

    def detected(self) -> list[tuple[Request, str]]:
        """Return the same language for all that came without one."""
        detected, self._detected = self._detected, []
        return detected

    def advance(self) -> list[tuple[Request, Reply]]:
        """End the window that has run longest, with one segment."""
        time.sleep(self._delay)
        self.effort.decoding += self._delay
        self.effort.steps += 1
        self.effort.row_steps += self.running
        request = self._running.pop(0)
        return [(request, _reply(request))]

    def drop(self, requests: Sequence[Request]) -> None:
        """Forget these."""
        gone = {id(request) for request in requests}
        self._running = [request for request in self._running if id(request) not in gone]

    def _obey(self, order: int | None, beside: int) -> None:
        if order == CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        elif order == HANG:
            time.sleep(_LONG_S)
        elif order == NO_MEMORY and beside:
            self._running.clear()
            raise OutOfMemory("the fake device is full")
        elif order == FAILURE:
            raise RuntimeError("the fake device failed")

    def _log(self, request: Request) -> None:
        if path := os.environ.get("WHISPER_FAKE_LOG"):
            with Path(path).open("a", encoding="utf-8") as log:
                log.write(words(request.pcm) + "\n")

    def prompt(self, text: str, language: str | None) -> tuple[int, ...]:  # noqa: ARG002 - the Engine's signature
        """Return the prompt's bytes as tokens."""
        return tuple(text.encode())

    def log_mel_max(self, pcm: NDArray[np.float32]) -> float:
        """Return something that grows with loudness."""
        return float(np.abs(pcm).max(initial=0.0))

    def close(self) -> None:
        """Leave nothing behind: there was nothing."""


def _reply(request: Request) -> Reply:
    seconds = request.frames / 100 if request.frames is not None else len(request.pcm) / SAMPLE_RATE
    text = words(request.pcm)
    tokens = tuple(text.encode())
    return Reply(
        language=request.language or LANGUAGE,
        segments=(_heard(request, text, seconds),) if seconds else (),
        tokens=tokens,
        consumed=seconds,
        temperature=request.temperature,
        avg_logprob=-0.2,
        compression_ratio=1.2,
        no_speech_prob=0.01,
    )


def _heard(request: Request, text: str, seconds: float) -> Heard:
    """Return one segment, its words evenly spread where their times are asked for."""
    said = text.split()
    each = seconds / len(said)
    timed = tuple(
        {"word": f" {word}", "start": n * each, "end": (n + 1) * each, "probability": 0.9}
        for n, word in enumerate(said)
    )
    words = timed if request.options.word_timestamps else None
    return Heard(start=0.0, end=seconds, text=f" {text}", tokens=tuple(text.encode()), words=words)


def words(pcm: NDArray[np.float32]) -> str:
    """Return four words that depend on every sample."""
    digest = hashlib.sha256(np.round(pcm * 32768).astype("<i2").tobytes()).digest()
    return " ".join(_WORDS[byte % len(_WORDS)] for byte in digest[:4])


def marked(order: int, samples: int = SAMPLE_RATE) -> NDArray[np.int16]:
    """Return samples that order the engine to CRASH, HANG, run out of memory or fail: wherever they are in a window."""
    pcm = np.zeros(samples, dtype=np.int16)
    pcm[samples // 2 :][:2] = MARKER, order
    return pcm


def _order(pcm: NDArray[np.float32]) -> int | None:
    samples = np.round(pcm * 32768).astype(np.int32)
    at = np.flatnonzero(samples[:-1] == MARKER)
    return next((int(samples[place + 1]) for place in at if samples[place + 1] in _ORDERS), None)


_ORDERS = {CRASH, HANG, NO_MEMORY, FAILURE}
