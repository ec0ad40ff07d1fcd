"""Voice activity by Silero, streamed: samples in, spans of speech out.

The spans are those of silero_vad.get_speech_timestamps without padding. Its own loop runs the network frame by
frame; here the convolutions run over a block of frames and only the recurrent layer walks, about ten times faster.
Blocks have one size, so that the spans do not depend on how the samples were fed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import silero_vad
import torch

from pipeline.stage.transcribe.engine import SAMPLE_RATE, WINDOW_SAMPLES, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME = 512  # samples; Silero's, at 16 kHz
CONTEXT = 64  # samples of the frame before that the network sees as well
BLOCK = 64  # frames a call
HIDDEN = 128  # size of the recurrent layer

SPEECH = 0.5  # a probability from here on begins speech
SILENCE = 0.35  # one below this begins a pause
MIN_SPEECH = SAMPLE_RATE // 4  # shorter spans are noise
MIN_PAUSE = SAMPLE_RATE // 10  # shorter pauses do not end speech
MIN_PAUSE_TO_CUT = SAMPLE_RATE * 98 // 1000  # of unbroken speech that has lasted MAX_SPEECH
MAX_SPEECH = WINDOW_SAMPLES - FRAME


class Voice:
    """Voice activity of one file; see engine.Voice."""

    def __init__(self) -> None:
        """Begin in the thread that will feed it: its small products are not worth a second core."""
        torch.set_num_threads(1)
        self._probabilities = Probabilities()
        self._speech = Speech()
        self._rest = np.zeros(0, np.float32)
        self._length = 0

    @property
    def settled(self) -> int:
        """Samples before which no span that is still to come begins."""
        return self._speech.settled

    def feed(self, pcm: NDArray[np.float32]) -> list[Span]:
        """Take the next samples; return the spans that ended."""
        self._length += len(pcm)
        samples = np.concatenate([self._rest, pcm])
        whole = len(samples) - len(samples) % (BLOCK * FRAME)
        self._rest = samples[whole:]
        blocks = samples[:whole].reshape(-1, BLOCK, FRAME)
        return [span for block in blocks for span in self._speech.feed(self._probabilities.of(block))]

    def finish(self) -> list[Span]:
        """Return what was still open at the end of the file."""
        frames = -(-len(self._rest) // FRAME)
        block = np.zeros((BLOCK, FRAME), np.float32)
        block.reshape(-1)[: len(self._rest)] = self._rest
        return self._speech.feed(self._probabilities.of(block)[:frames]) + self._speech.finish(self._length)


class Probabilities:
    """The network's opinion of each frame, with the state it carries from block to block."""

    def __init__(self) -> None:
        self._context = torch.zeros(CONTEXT)
        self._state = (torch.zeros(1, HIDDEN), torch.zeros(1, HIDDEN))
        self._in_silence: float | None = None  # the probability that digital silence has settled at

    def of(self, block: NDArray[np.float32]) -> list[float]:
        """Return the probability of speech in each of BLOCK frames; after a block of zeros the next costs nothing."""
        silent = not block.any()
        if not silent or self._in_silence is None:
            probabilities = self._run(torch.from_numpy(block))
            self._in_silence = probabilities[-1] if silent else None
            return probabilities
        return [self._in_silence] * BLOCK

    @torch.inference_mode()
    def _run(self, block: torch.Tensor) -> list[float]:
        network, recurrent = _silero()
        samples = torch.cat([self._context, block.flatten()])
        self._context = samples[-CONTEXT:]
        features = network.encoder(network.run_extractors(samples.unfold(0, CONTEXT + FRAME, FRAME)))
        hidden, self._state = recurrent(features.squeeze(-1), self._state)
        probabilities: list[float] = network.decoder.decoder(hidden.unsqueeze(-1)).flatten().tolist()
        return probabilities


class Speech:
    """Probabilities -> spans: the rules of silero_vad.get_speech_timestamps_from_probs, frame by frame."""

    def __init__(self) -> None:
        self._at = 0  # the sample that the next frame begins with
        self._start: int | None = None  # of the speech that is open
        self._pause: int | None = None  # where it may have ended
        self._pauses: list[Span] = []  # inside it, long enough to cut at

    @property
    def settled(self) -> int:
        """Samples before which no further span begins."""
        return self._at if self._start is None else self._start

    def feed(self, probabilities: list[float]) -> list[Span]:
        """Take the next frames; return the spans that ended in them."""
        return [span for probability in probabilities for span in self._frame(probability)]

    def finish(self, length: int) -> list[Span]:
        """Return the span that is open when the file ends after `length` samples."""
        if self._start is None or length - self._start <= MIN_SPEECH:
            return []
        return [Span(self._start, length)]

    def _frame(self, probability: float) -> list[Span]:
        at, self._at = self._at, self._at + FRAME
        spans = []
        if probability >= SPEECH:
            self._hear_speech(at)
        if self._start is not None and at - self._start > MAX_SPEECH:
            spans.append(self._cut(self._start, at))
        if self._start is not None and probability < SILENCE:
            spans += self._hear_silence(self._start, at)
        return spans

    def _hear_speech(self, at: int) -> None:
        if self._start is None:
            self._start = at
        if self._pause is not None and at - self._pause > MIN_PAUSE_TO_CUT:
            self._pauses.append(Span(self._pause, at))
        self._pause = None

    def _hear_silence(self, start: int, at: int) -> list[Span]:
        self._pause = at if self._pause is None else self._pause
        if at - self._pause < MIN_PAUSE:
            return []
        span = self._end(start, self._pause, None)
        return [span] if span.end - span.start > MIN_SPEECH else []

    def _cut(self, start: int, at: int) -> Span:
        """Cut unbroken speech at its longest pause, else here."""
        if not self._pauses:
            return self._end(start, at, None)
        longest = max(self._pauses, key=lambda pause: pause.end - pause.start)
        return self._end(start, longest.start, longest.end)

    def _end(self, start: int, end: int, resumes: int | None) -> Span:
        self._start, self._pause, self._pauses = resumes, None, []
        return Span(start, end)


@cache
def _silero() -> tuple[Any, torch.nn.LSTM]:
    """Return Silero's network, and its recurrent cell as a layer that walks a whole block."""
    network = silero_vad.load_silero_vad()._model  # noqa: SLF001 - the public call takes one frame at a time
    layer = torch.nn.LSTM(HIDDEN, HIDDEN)
    layer.load_state_dict({f"{name}_l0": weight for name, weight in network.decoder.rnn.state_dict().items()})
    return network, layer.eval()
