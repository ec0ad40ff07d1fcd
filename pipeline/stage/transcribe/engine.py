"""The Engine seam: windows in, replies out. What a window is worth, and what comes next, Track decides (pack/)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.options import Options

SAMPLE_RATE = 16_000  # Hz, mono; whisper/audio.py
WINDOW_SAMPLES = 30 * SAMPLE_RATE
HOP = 160  # samples a mel frame
MARGIN = 200  # half an STFT window


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One window to transcribe, at one temperature.

    With `frames`, pcm holds 30 s and the MARGIN of neighbouring samples that the STFT needs on each side
    (480,400 samples; no centre padding): 3000 mel frames. Language is detected on all of them; for decoding
    those from `frames` on are set to 0 after normalisation, as whisper's pad_or_trim does.
    """

    pcm: NDArray[np.float32]  # (n,) mono at 16 kHz in [-1, 1], n <= WINDOW_SAMPLES; shorter ones are padded
    options: Options
    language: str | None  # None: detect it first
    temperature: float
    prompt: tuple[int, ...] = ()  # token ids said before
    seed: int = 0  # for sampling above temperature 0
    speech_until: float = 0.0  # seconds: a segment begun before it is said, not left to a next window
    log_mel_max: float | None = None  # the whole file's, for exact mode's clamp (whisper clamps at max - 8)
    frames: int | None = None  # exact mode: frames of content; pcm is then framed as described below
    seek: int = 0  # mel frames of the file before the window; word timing rounds and bounds by it
    last_speech: float = 0.0  # seconds from the window's start to the end of the last word before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One segment inside a window: seconds from its start."""

    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    words: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model made of a Request."""

    language: str
    segments: tuple[Heard, ...]
    tokens: tuple[int, ...]  # all of them, for the next prompt
    consumed: float  # seconds of the window that its timestamps cover: where whisper would seek to
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    single_ending: bool = True  # whisper's single_timestamp_ending: nothing began after the last timestamp


class OutOfMemory(MemoryError):  # noqa: N818 - named as torch names it
    """The running batch did not fit into the device's memory.

    All of it was let go and what was cached is freed: try again, then with fewer windows.
    """


@dataclass(slots=True)
class Effort:
    """What an engine has done since it was loaded: every number only grows, and figures are made of differences."""

    encoding: float = 0.0  # seconds, as if on all cores
    decoding: float = 0.0  # seconds, likewise
    steps: int = 0  # of the decoder, each of which all running windows share
    row_steps: int = 0  # windows that took part in them: steps x rows if no row was ever empty


class Engine(Protocol):
    """A loaded model and its running batch: windows of any files join it, are decoded side by side, and leave.

    Rows may differ in every option but the model. A window is known by its Request object itself (`is`).
    """

    model: str
    sha256: str
    slots: int  # windows that may be in its hands: more than it decodes where it encodes others meanwhile
    effort: Effort

    @property
    def rows(self) -> int:
        """Windows that it decodes side by side."""
        ...

    @property
    def running(self) -> int:
        """Windows that were admitted and have not ended."""
        ...

    def admit(self, requests: Sequence[Request]) -> None:
        """Take these windows, never more than slots - running; they are encoded and join the others now or soon.

        Raises PipelineError or whatever else is wrong with one of them before any of them is admitted, and those
        that were running go on. Raises OutOfMemory: then nothing runs any more. What is found later `advance` raises.
        """
        ...

    def advance(self) -> list[tuple[Request, Reply]]:
        """Decode for a moment; return the windows that ended in it, in the order of admission: often none.

        A few steps only, as others may wait to join.
        Whatever it raises (OutOfMemory, or what a step failed with): nothing runs any more.
        """
        ...

    def detected(self) -> list[tuple[Request, str]]:
        """Return the languages heard since the last time in windows that came without one, long before their replies.

        The other windows of their files need not wait for the first one's end.
        """
        ...

    def drop(self, requests: Sequence[Request]) -> None:
        """Let these leave the running batch without a reply; those that do not run are ignored.

        Whatever it raises: nothing runs any more.
        """
        ...

    def prompt(self, text: str, language: str | None) -> tuple[int, ...]:
        """Return the token ids of an initial prompt."""
        ...

    def log_mel_max(self, pcm: NDArray[np.float32]) -> float:
        """Return the largest log10 mel value of this stretch, for exact mode's first pass.

        `pcm` carries MARGIN samples on both sides (no centre padding).
        """
        ...

    def close(self) -> None:
        """Let the model leave the device."""
        ...


class Span(NamedTuple):
    """A stretch of speech, in samples of the file."""

    start: int
    end: int


class Voice(Protocol):
    """Voice activity detection of one file, streamed; unpadded spans come in order and do not overlap."""

    @property
    def settled(self) -> int:
        """Samples before which no span that is still to come begins; what lies before may be forgotten."""
        ...

    def feed(self, pcm: NDArray[np.float32]) -> list[Span]:
        """Take the next samples; return the spans that ended, those of unbroken speech cut at 30 s."""
        ...

    def finish(self) -> list[Span]:
        """Return what was still open at the end of the file."""
        ...
