"""Windows of real speech part where nobody speaks."""

import subprocess
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from pipeline.stage.pack.cut import Clip, Cutter
from pipeline.stage.transcribe.engine import SAMPLE_RATE, WINDOW_SAMPLES
from pipeline.stage.transcribe.voice import Voice

SAMPLES = Path(__file__).parents[2] / "samples"
QUIET_DB = -12.0  # below ordinary speech: between words; a cut word lies at -3 or louder


def decoded(name: str) -> np.ndarray:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", str(SAMPLES / name)]
    command += ["-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.int16)


def loudness(pcm: np.ndarray) -> float:
    """Return decibels."""
    return float(10 * np.log10(np.mean(np.square(pcm.astype(np.float64))) + 1))


def cut(pcm: np.ndarray) -> list[Clip]:
    cutter, block = Cutter(Voice(), [(0.0, float("inf"))]), 2 * SAMPLE_RATE
    clips = [clip for at in range(0, len(pcm), block) for clip in cutter.feed(pcm[at : at + block])]
    return [*clips, *cutter.finish()]


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Return some minutes of two readers in turn, without noise between their words."""
    return np.concatenate([decoded(name) for name in ("english/sonnet-1.mp3", "french/elevation.mp3")] * 6)


@pytest.mark.parametrize("offset", [0.0, 3.1, 7.3, 11.9, 17.7, 23.3])
def test_no_word_is_cut_at_a_seam(speech: np.ndarray, offset: float) -> None:
    """Wherever the file begins: it is quiet around each seam, and in what is left out there."""
    pcm = speech[int(offset * SAMPLE_RATE) :]
    clips = cut(pcm)
    assert len(clips) > 3
    ordinary = loudness(np.concatenate([clip.pcm for clip in clips]))
    near = SAMPLE_RATE // 20
    for before, after in pairwise(clips):
        assert loudness(pcm[before.end - near : after.start + near]) < ordinary + QUIET_DB
    assert max(len(clip.pcm) for clip in clips) <= WINDOW_SAMPLES


def test_windows_of_unbroken_reading_are_full(speech: np.ndarray) -> None:
    """A window costs the same however much speech it holds."""
    *full, _ = cut(speech)
    assert np.mean([len(clip.pcm) for clip in full]) >= 26 * SAMPLE_RATE
