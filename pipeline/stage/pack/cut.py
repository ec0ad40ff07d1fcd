"""Samples and speech -> clips of at most 30 s, cut at the best pauses; pure, streamed, bounded in memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.errors import BadOptionsError
from pipeline.stage.transcribe.engine import SAMPLE_RATE, WINDOW_SAMPLES, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.stage.transcribe.engine import Voice

AIR = SAMPLE_RATE  # kept around speech where there is silence: Whisper expects a word within the first second
LEAST_AIR = SAMPLE_RATE * 2 // 5  # that the fullest window has room for
LONGEST = WINDOW_SAMPLES - 2 * LEAST_AIR
SHORTEST = WINDOW_SAMPLES // 2  # a pause earlier than this is no reason to leave a window half empty
FULL = 25 * SAMPLE_RATE  # a window costs the same however full it is: from here on the longest pause ends it
PHRASE = SAMPLE_RATE * 3 // 10  # shorter pauses lie between the words of a phrase
CUT_FROM = 20 * SAMPLE_RATE  # speech without a pause is cut where it is quietest, from here on
BREAK = 10 * SAMPLE_RATE  # a silence this long always ends a window: silence makes Whisper invent words
_FRAME = SAMPLE_RATE // 50
_SMOOTH = 10  # frames: 0.2 s


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of a file to transcribe; `speech` in samples of the file, None where nobody looked for it."""

    start: int
    pcm: NDArray[np.int16]
    speech: tuple[Span, ...] | None = None

    @property
    def end(self) -> int:
        """The sample after the last one."""
        return self.start + len(self.pcm)


def to_float(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return s16 samples in [-1, 1), as whisper scales them."""
    return pcm.astype(np.float32) / np.float32(32768)


def parse_clips(timestamps: str) -> list[tuple[float, float]]:
    """Return whisper's clip_timestamps as (start, end) in seconds; an open last clip ends at infinity."""
    try:
        points = [float(word) for word in timestamps.split(",")] if timestamps else [0.0]
    except ValueError as error:
        raise BadOptionsError(f"clip_timestamps {timestamps!r}: seconds, as start,end,start,end") from error
    if len(points) % 2:
        points.append(float("inf"))
    return list(zip(points[::2], points[1::2], strict=True))


class Everything:
    """Voice activity that takes all for speech: clips are then cut at the quietest point near 30 s."""

    def __init__(self) -> None:
        self.settled = 0

    def feed(self, pcm: NDArray[np.float32]) -> list[Span]:
        """Return these samples as one span; it continues the one before."""
        span = Span(self.settled, self.settled + len(pcm))
        self.settled = span.end
        return [span]

    def finish(self) -> list[Span]:
        """Return nothing: nothing is ever open."""
        return []


class Cutter:
    """Cuts one file into clips, as its samples come."""

    def __init__(self, voice: Voice | None, clips: list[tuple[float, float]]) -> None:
        self._looks = voice is not None
        self._voice: Voice = voice or Everything()
        self._clips = [(start * SAMPLE_RATE, end * SAMPLE_RATE) for start, end in clips]
        self._held = _Samples()
        self._pending: list[Span] = []
        self._cut_at = 0  # where the last clip ended

    @property
    def settled(self) -> int:
        """Samples before which nothing waits to become a clip."""
        return self._pending[0].start if self._pending else min(self._voice.settled, self._held.end)

    def feed(self, pcm: NDArray[np.int16]) -> list[Clip]:
        """Take the next samples; return the clips that are certain now."""
        self._held.append(pcm)
        clips = self._add(self._voice.feed(to_float(pcm)))
        if self._pending and self._voice.settled - self._pending[-1].end > BREAK:
            clips.append(self._emit(len(self._pending)))
        self._held.forget(self.settled - AIR)
        return clips

    def finish(self) -> list[Clip]:
        """Return the last clips."""
        clips = self._add(self._voice.finish())
        return [*clips, self._emit(len(self._pending))] if self._pending else clips

    def _add(self, spans: list[Span]) -> list[Clip]:
        clips = []
        for span in (piece for each in spans for piece in self._wanted(each)):
            if self._pending and self._parts(self._pending[-1].end, span.start):
                clips.append(self._emit(len(self._pending)))
            self._join(span)
            while self._pending[-1].end - self._pending[0].start > LONGEST:
                clips.append(self._emit(self._split()))
        return clips

    def _wanted(self, span: Span) -> list[Span]:
        cut = [Span(int(max(span.start, start)), int(min(span.end, end))) for start, end in self._clips]
        return [piece for piece in cut if piece.end > piece.start]

    def _parts(self, end: int, start: int) -> bool:
        """Tell whether what lies between two spans is in no window: a long silence, or what nobody asked for."""
        return start - end > BREAK or any(end <= clip_end < start for _, clip_end in self._clips)

    def _join(self, span: Span) -> None:
        if self._pending and span.start <= self._pending[-1].end:
            span = Span(self._pending.pop().start, span.end)
        self._pending.append(span)

    def _split(self) -> int:
        """Return how many of the pending spans make the next clip, cutting one of them if there is no pause."""
        first = self._pending[0].start
        pauses = [
            _Pause(after.start - before.end, before.end - first, count)
            for count, (before, after) in enumerate(pairwise(self._pending), start=1)
            if SHORTEST <= before.end - first <= LONGEST
        ]
        if pauses:
            return _best(pauses).spans
        return self._cut(self._held.quietest(first + CUT_FROM, first + LONGEST))

    def _cut(self, point: int) -> int:
        count = next(number for number, span in enumerate(self._pending) if span.end > point)
        span = self._pending[count]
        if span.start < point:
            self._pending[count : count + 1] = [Span(span.start, point), Span(point, span.end)]
            return count + 1
        return count

    def _emit(self, count: int) -> Clip:
        spans, self._pending = self._pending[:count], self._pending[count:]
        start, self._cut_at = self._with_air(Span(spans[0].start, spans[-1].end))
        pcm = self._held.read(start, self._cut_at)
        return Clip(start, pcm, tuple(spans) if self._looks else None)

    def _with_air(self, speech: Span) -> Span:
        """Return a window around this speech: it shares pauses with its neighbours, and keeps inside its clip."""
        middle = (speech.end + self._pending[0].start) // 2 if self._pending else self._held.end
        first, last = self._bounds(speech)
        room = WINDOW_SAMPLES - (speech.end - speech.start)
        before = min(AIR, speech.start - max(self._cut_at, first))
        after = min(AIR, min(middle, last) - speech.end)
        before = min(before, max(room // 2, room - after))
        return Span(speech.start - before, speech.end + min(after, room - before))

    def _bounds(self, speech: Span) -> tuple[int, int]:
        """Return where the clip that this speech begins in begins, and where the one that it ends in ends."""
        first = max(int(start) for start, _ in self._clips if int(start) <= speech.start)
        last = min(min(end, self._held.end) for _, end in self._clips if end >= speech.end)
        return first, int(last)


class _Pause(NamedTuple):
    """A place to cut at: its length and its place in the window, in samples; how many spans lie before it."""

    length: int
    at: int
    spans: int


def _best(pauses: list[_Pause]) -> _Pause:
    """Return the longest pause of a window that is full, else the last one; those inside phrases only in need."""
    real = [pause for pause in pauses if pause.length >= PHRASE] or pauses
    late = [pause for pause in real if pause.at >= FULL]
    return max(late) if late else real[-1]


class _Samples:
    """The samples that may still be needed."""

    def __init__(self) -> None:
        self._blocks: list[NDArray[np.int16]] = []
        self._start = 0
        self.end = 0

    def append(self, pcm: NDArray[np.int16]) -> None:
        self._blocks.append(pcm)
        self.end += len(pcm)

    def forget(self, before: int) -> None:
        while self._blocks and self._start + len(self._blocks[0]) <= before:
            self._start += len(self._blocks.pop(0))

    def read(self, start: int, end: int) -> NDArray[np.int16]:
        """Return a copy of these samples, so that the blocks can go."""
        joined: NDArray[np.int16] = np.concatenate(self._blocks)[start - self._start : end - self._start]
        return joined.copy()

    def quietest(self, start: int, end: int) -> int:
        """Return the middle of the quietest fifth of a second in this range, the last one among equals."""
        pcm = to_float(self.read(start, end))
        frames = np.square(pcm[: len(pcm) // _FRAME * _FRAME].reshape(-1, _FRAME)).sum(axis=1)
        smooth = np.convolve(frames, np.ones(_SMOOTH), mode="valid")
        last = len(smooth) - 1 - int(np.argmin(smooth[::-1]))
        return start + (last + _SMOOTH // 2) * _FRAME
