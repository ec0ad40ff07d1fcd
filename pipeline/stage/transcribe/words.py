"""A time for every word of a window: whisper's rules over the alignment of its tokens (whisper/timing.py)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from whisper.timing import WordTiming, merge_punctuations

from pipeline.stage.transcribe.engine import HOP, SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whisper.tokenizer import Tokenizer

    from pipeline.stage.transcribe.alignment import Alignment
    from pipeline.stage.transcribe.engine import Heard, Request

SENTENCE_ENDS = ".。!！?？"  # noqa: RUF001 - whisper's own
LONGEST_MEDIAN_S = 0.7
PAUSE = 4  # medians after which a word is the first of a new stretch of speech
TOO_EARLY_S = 0.5  # that a word may begin before its segment, or end after it

Word = dict[str, Any]


def text_of(segments: Sequence[Heard], tokenizer: Tokenizer) -> list[int]:
    """Return the text tokens to align."""
    return [token for each in segments for token in each.tokens if token < tokenizer.eot]


def with_words(
    segments: Sequence[Heard], alignment: Alignment, tokenizer: Tokenizer, request: Request
) -> list[Heard]:
    """Return the segments with their words.

    As in whisper, a segment begins and ends with its words, unless its first or last one is too long.
    """
    timings = _timings(text_of(segments, tokenizer), alignment, tokenizer)
    pace = _Pace.of(timings)
    _shorten_at_sentence_ends(timings, pace)
    merge_punctuations(timings, request.options.prepend_punctuations, request.options.append_punctuations)
    begin = request.seek * HOP / SAMPLE_RATE
    spoken_until = request.last_speech + begin
    made = []
    for each, words in zip(segments, _shared(timings, segments, tokenizer, begin), strict=True):
        span = _Span(each.start + begin, each.end + begin, words)
        if words:
            span.settle(pace, spoken_until)
            spoken_until = span.end
        made.append(span.heard(each, begin))
    return made


@dataclass(frozen=True, slots=True)
class _Pace:
    """How long the words of a window are."""

    median: float
    has_words: bool

    @classmethod
    def of(cls, timings: Sequence[WordTiming]) -> _Pace:
        durations = np.array([each.end - each.start for each in timings])
        durations = durations[durations.nonzero()]
        if not len(durations):
            return cls(0.0, has_words=False)
        return cls(min(LONGEST_MEDIAN_S, float(np.median(durations))), has_words=True)

    @property
    def longest(self) -> float:
        """Seconds that a word lasts at most, where whisper doubts it."""
        return 2 * self.median


def _timings(text: list[int], alignment: Alignment, tokenizer: Tokenizer) -> list[WordTiming]:
    """Join tokens to words."""
    words, parts = tokenizer.split_to_word_tokens([*text, tokenizer.eot])
    bounds = np.cumsum([0, *map(len, parts[:-1])])
    return [
        _timing(word, tokens, alignment, *span)
        for word, tokens, span in zip(words[:-1], parts[:-1], pairwise(bounds), strict=True)
    ]


def _timing(word: str, tokens: list[int], alignment: Alignment, start: int, end: int) -> WordTiming:
    probability = np.mean(alignment.probabilities[start:end])
    return WordTiming(word, tokens, alignment.times[start], alignment.times[end], probability)


def _shorten_at_sentence_ends(timings: Sequence[WordTiming], pace: _Pace) -> None:
    """Let no word beside the end of a sentence reach into the pause there."""
    if not pace.has_words:
        return
    for before, each in pairwise(timings):
        if each.end - each.start > pace.longest:
            if each.word in SENTENCE_ENDS:
                each.end = each.start + pace.longest
            elif before.word in SENTENCE_ENDS:
                each.start = each.end - pace.longest


def _shared(
    timings: Sequence[WordTiming], segments: Sequence[Heard], tokenizer: Tokenizer, begin: float
) -> Iterator[list[Word]]:
    """Yield the words of each segment, in seconds of the file: those that begin within its tokens."""
    left = iter(timings)
    for each in segments:
        room = len(text_of([each], tokenizer))
        words = []
        while room > 0 and (timing := next(left, None)):
            if timing.word:
                words.append(_word(timing, begin))
            room -= len(timing.tokens)
        yield words


def _word(timing: WordTiming, begin: float) -> Word:
    return {
        "word": timing.word,
        "start": round(begin + timing.start, 2),
        "end": round(begin + timing.end, 2),
        "probability": float(timing.probability),
    }


@dataclass
class _Span:
    """A segment being fitted to its words, in seconds of the file."""

    start: float
    end: float
    words: list[Word]

    def settle(self, pace: _Pace, spoken_until: float) -> None:
        first, last = self.words[0], self.words[-1]
        if first["end"] - spoken_until > PAUSE * pace.median:
            self._shorten_after_pause(pace)
        if self.start < first["end"] and self.start - TOO_EARLY_S > first["start"]:
            first["start"] = max(0, min(first["end"] - pace.median, self.start))
        else:
            self.start = first["start"]
        if self.end > last["start"] and self.end + TOO_EARLY_S < last["end"]:
            last["end"] = max(last["start"] + pace.median, self.end)
        else:
            self.end = last["end"]

    def _shorten_after_pause(self, pace: _Pace) -> None:
        """Let the first two words after a pause not reach back into it."""
        first, second = self.words[0], (self.words[1] if len(self.words) > 1 else None)
        is_long = first["end"] - first["start"] > pace.longest
        if not is_long and not (second and second["end"] - first["start"] > 2 * pace.longest):
            return
        if second and second["end"] - second["start"] > pace.longest:
            first["end"] = second["start"] = second["end"] - pace.longest
        first["start"] = max(0, first["end"] - pace.longest)

    def heard(self, segment: Heard, begin: float) -> Heard:
        """Return the segment in seconds of its window."""
        moved = [
            {**each, "start": float(each["start"] - begin), "end": float(each["end"] - begin)}
            for each in self.words
        ]
        if not moved:
            return replace(segment, words=())
        return replace(
            segment, start=float(self.start - begin), end=float(self.end - begin), words=tuple(moved)
        )
