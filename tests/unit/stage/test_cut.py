"""Speech becomes clips of at most 30 s, cut at pauses, none of it lost."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BadOptionsError
from pipeline.stage.pack.cut import AIR, BREAK, LEAST_AIR, LONGEST, Cutter, parse_clips
from pipeline.stage.transcribe.engine import SAMPLE_RATE, WINDOW_SAMPLES, Span

ALL = [(0.0, float("inf"))]


class Scripted:
    """Voice activity that knows the spans beforehand and tells each once it has ended."""

    def __init__(self, spans: Any) -> None:
        self._spans = [Span(int(start * SAMPLE_RATE), int(end * SAMPLE_RATE)) for start, end in spans]
        self._heard = 0

    @property
    def settled(self) -> Any:
        return min([self._heard, *(span.start for span in self._spans)])

    def feed(self, pcm: Any) -> Any:
        self._heard += len(pcm)
        done = [span for span in self._spans if span.end <= self._heard]
        self._spans = self._spans[len(done) :]
        return done

    def finish(self) -> Any:
        return [Span(span.start, min(span.end, self._heard)) for span in self._spans]


def cut(seconds: float, spans: Any = None, clips: Any = ALL, pcm: Any = None) -> Any:
    """Return the clips of a file fed in blocks of two seconds."""
    if pcm is None:
        pcm = np.random.default_rng(1).integers(-900, 900, int(seconds * SAMPLE_RATE), dtype=np.int16)
    cutter = Cutter(None if spans is None else Scripted(spans), clips)
    block = 2 * SAMPLE_RATE
    made = [clip for at in range(0, len(pcm), block) for clip in cutter.feed(pcm[at : at + block])]
    made += cutter.finish()
    for clip in made:
        assert np.array_equal(pcm[clip.start : clip.end], clip.pcm)
    return made


def in_seconds(clips: Any) -> Any:
    return [(round(clip.start / SAMPLE_RATE, 2), round(clip.end / SAMPLE_RATE, 2)) for clip in clips]


def test_speech_has_air_around_it() -> None:
    """A second on both sides, or what the file has: whisper hears a beginning better after a breath."""
    assert in_seconds(cut(10, [(3, 5)])) == [(2.0, 6.0)]
    assert in_seconds(cut(10, [(0.3, 9.5)])) == [(0.0, 10.0)]


def test_air_takes_the_room_that_speech_leaves() -> None:
    """A window is 30 s long at most; what one side does not use is the other's."""
    assert in_seconds(cut(40, [(3, 32)])) == [(2.5, 32.5)]
    assert in_seconds(cut(32.2, [(3, 32)])) == [(2.2, 32.2)]


def test_short_pauses_stay_inside_a_window() -> None:
    """Speech is joined up to the length of a window."""
    assert in_seconds(cut(30, [(1, 5), (6, 12), (14, 20)])) == [(0.0, 21.0)]


def test_a_window_ends_at_the_longest_pause_once_it_is_full() -> None:
    """A longer pause before 25 s would leave room that costs as much as speech."""
    clips = cut(60, [(0, 16), (19, 25.5), (26.5, 28), (28.5, 45)])
    assert in_seconds(clips) == [(0.0, 26.0), (26.0, 46.0)]


def test_a_window_that_cannot_be_filled_ends_at_its_last_pause() -> None:
    """Half a window more is cheaper than a word cut in two."""
    clips = cut(60, [(0, 16), (19, 21), (21.5, 31), (31.2, 45)])
    assert in_seconds(clips) == [(0.0, 21.25), (21.25, 46.0)]


def test_moments_between_words_end_a_window_only_in_need() -> None:
    """A pause between phrases is better, even where it leaves room."""
    phrases = cut(60, [(0, 20), (20.5, 27), (27.2, 45)])
    assert in_seconds(phrases) == [(0.0, 20.25), (20.25, 46.0)]
    words = cut(60, [(0, 20), (20.2, 27), (27.1, 45)])
    assert in_seconds(words) == [(0.0, 27.05), (27.05, 46.0)]


def test_windows_part_in_the_middle_of_a_short_pause() -> None:
    """Where speech begins is known to a few hundredths of a second: the first sound needs air before it."""
    clips = cut(60, [(0, 26), (26.5, 45)])
    assert in_seconds(clips) == [(0.0, 26.25), (26.25, 46.0)]


def test_a_long_silence_ends_a_window() -> None:
    """Silence inside a window makes Whisper invent words."""
    assert in_seconds(cut(40, [(1, 3), (15, 17)])) == [(0.0, 4.0), (14.0, 18.0)]


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    """The cut lies between 20 s and the longest window, in the middle of the quietest moment."""
    pcm = np.random.default_rng(1).integers(-9000, 9000, 50 * SAMPLE_RATE, dtype=np.int16)
    pcm[int(24.9 * SAMPLE_RATE) : int(25.1 * SAMPLE_RATE)] = 0
    assert in_seconds(cut(50, [(0, 50)], pcm=pcm)) == [(0.0, 25.0), (25.0, 50.0)]


def test_without_voice_activity_nothing_is_left_out() -> None:
    """All samples are in exactly one clip, and nobody claims to know where speech is."""
    clips = cut(95.3)
    assert clips[0].start == 0
    assert clips[-1].end == int(95.3 * SAMPLE_RATE)
    assert all(before.end == after.start for before, after in pairwise(clips))
    assert all(clip.speech is None for clip in clips)


def test_silence_makes_no_clip() -> None:
    """Where no voice is found there is nothing to transcribe."""
    assert cut(60, []) == []


def test_clip_timestamps_limit_what_is_cut() -> None:
    """Only speech inside the clips is kept, with no air from outside, where a word may be."""
    assert in_seconds(cut(40, [(1, 30)], clips=parse_clips("5,8,20"))) == [(5.0, 8.0), (20.0, 31.0)]


def test_what_lies_between_two_clips_is_in_no_window() -> None:
    """However short it is: who left out a jingle of four seconds does not want its words."""
    assert in_seconds(cut(40, [(1, 30)], clips=parse_clips("5,8,12"))) == [(5.0, 8.0), (12.0, 31.0)]
    assert in_seconds(cut(40, clips=parse_clips("5,8,12,20"))) == [(5.0, 8.0), (12.0, 20.0)]


def test_clip_timestamps_must_be_numbers() -> None:
    """A word among them is the user's mistake."""
    with pytest.raises(BadOptionsError, match="clip_timestamps"):
        parse_clips("0,end")


def test_memory_does_not_grow_through_silence_and_speech() -> None:
    """Only what may still become a clip is held."""
    cutter = Cutter(Scripted([(at, at + 8) for at in range(0, 3600, 60)]), ALL)
    held = 0
    for _ in range(1800):
        cutter.feed(np.zeros(2 * SAMPLE_RATE, np.int16))
        held = max(held, sum(map(len, cutter._held._blocks)))
    assert held <= 2 * WINDOW_SAMPLES


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 14.0), st.floats(0.3, 45.0)), max_size=6))
def test_all_speech_is_in_one_clip_or_another(gaps: Any) -> None:
    """Whatever the speech is like: no window is too long, none overlap, and no speech is lost."""
    spans, at = [], 0.0
    for gap, length in gaps:
        spans.append((at + gap + 0.01, at + gap + 0.01 + length))
        at = spans[-1][1]
    clips = cut(at + 12, spans)
    assert all(len(clip.pcm) <= WINDOW_SAMPLES for clip in clips)
    assert all(before.end <= after.start for before, after in pairwise(clips))
    spoken = sum(int(end * SAMPLE_RATE) - int(start * SAMPLE_RATE) for start, end in spans)
    assert sum(span.end - span.start for clip in clips for span in clip.speech) == spoken
    assert all(clip.start <= span.start and span.end <= clip.end for clip in clips for span in clip.speech)


def test_a_window_has_room_for_air() -> None:
    """Speech and the least of it together fit into 30 s, and a break is longer than the most."""
    assert LONGEST + 2 * LEAST_AIR == WINDOW_SAMPLES
    assert BREAK > 2 * AIR
