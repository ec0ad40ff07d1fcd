from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import silero_vad
import torch
from silero_vad.utils_vad import get_speech_timestamps_from_probs

from pipeline.stage.transcribe.engine import Span
from pipeline.stage.transcribe.voice import BLOCK, FRAME, Probabilities, Speech, Voice

HALF_MINUTE = {"speech_pad_ms": 0, "max_speech_duration_s": 30}


def listen(pcm: np.ndarray, step: int) -> list[Span]:
    voice = Voice()
    spans = [span for at in range(0, len(pcm), step) for span in voice.feed(pcm[at : at + step])]
    return spans + voice.finish()


def silero(pcm: np.ndarray) -> list[Span]:
    spans = silero_vad.get_speech_timestamps(
        torch.from_numpy(pcm), silero_vad.load_silero_vad(), **HALF_MINUTE
    )
    return [Span(**span) for span in spans]


@pytest.mark.parametrize("name", ["english/jfk.flac", "french/elevation.mp3", "english/sonnet-1.mp3"])
def test_spans_are_sileros_own(recording: Callable[[str], np.ndarray], name: str) -> None:
    """On speech in two languages, sample for sample."""
    pcm = recording(name)

    assert silero(pcm) == listen(pcm, 16_000)


def test_probabilities_are_sileros_own(recording: Callable[[str], np.ndarray]) -> None:
    """Frame for frame, also where one block ends and the next begins."""
    blocks = recording("english/jfk.flac")[: 4 * BLOCK * FRAME].reshape(-1, BLOCK, FRAME)
    model = silero_vad.load_silero_vad()
    ours = Probabilities()

    expected = [model(torch.from_numpy(frame), 16_000).item() for block in blocks for frame in block]
    assert [each for block in blocks for each in ours.of(block)] == pytest.approx(expected, abs=1e-4)


def test_spans_do_not_depend_on_how_the_samples_come(recording: Callable[[str], np.ndarray]) -> None:
    """Blocks have one size inside, whatever is fed."""
    pcm = recording("french/elevation.mp3")

    assert listen(pcm, len(pcm)) == listen(pcm, 777)


@pytest.mark.parametrize("seed", range(12))
def test_the_rules_are_sileros_own(seed: int) -> None:
    """Also where speech lasts longer than 30 s, with and without pauses to cut at."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 5000))
    drift = np.convolve(random.normal(0, 0.6, count + 7), np.ones(8) / 8, "valid")
    probabilities = np.clip([0.3, 0.45, 0.6, 0.9][seed % 4] + drift, 0, 1).tolist()
    length = count * FRAME - int(random.integers(FRAME))
    expected = get_speech_timestamps_from_probs(
        list(probabilities), audio_length_samples=length, **HALF_MINUTE
    )

    speech = Speech()
    assert [Span(**span) for span in expected] == speech.feed(probabilities) + speech.finish(length)


def test_no_span_begins_before_what_is_settled(recording: Callable[[str], np.ndarray]) -> None:
    """What lies before may be forgotten."""
    pcm = recording("english/jfk.flac")
    voice = Voice()
    for at in range(0, len(pcm), 8_000):
        settled = voice.settled
        assert all(span.start >= settled for span in voice.feed(pcm[at : at + 8_000]))
        assert voice.settled >= settled


def test_silence_costs_nothing_and_changes_nothing(recording: Callable[[str], np.ndarray]) -> None:
    """An hour of zeros is passed over; the speech after it is found where it is."""
    speech = recording("english/jfk.flac")
    voice = Voice()
    quiet = np.zeros(60 * 16_000, np.float32)
    started = time.process_time()
    for _ in range(60):
        assert voice.feed(quiet) == []
    assert time.process_time() - started < 4.0

    found = voice.feed(speech) + voice.finish()
    offset = 60 * len(quiet)
    edges = np.array([(span.start - offset, span.end - offset) for span in found])
    expected = np.array(silero(np.concatenate([quiet, speech]))) - len(quiet)
    assert edges.shape == expected.shape
    assert np.abs(edges - expected).max() <= FRAME


def test_an_empty_file_holds_no_speech() -> None:
    """Nor does one of a single sample."""
    assert [listen(np.zeros(count, np.float32), 1) for count in (0, 1)] == [[], []]
