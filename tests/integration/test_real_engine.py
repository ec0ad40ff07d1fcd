"""The engine with real weights against openai-whisper itself, on the repository's samples."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import whisper as openai_whisper

from pipeline.errors import ModelUnavailableError
from pipeline.options import Options
from pipeline.stage.transcribe.checkpoint import read
from pipeline.stage.transcribe.engine import WINDOW_SAMPLES, Reply, Request
from pipeline.stage.transcribe.weights import DEFAULT_CACHE, Checkpoint, ensure
from pipeline.stage.transcribe.whisper import WhisperEngine, load
from tests.engine import transcribe

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(600)]
SAMPLES = Path(__file__).parents[2] / "samples"


def ignore(_what: str, _fraction: float | None) -> None:
    pass


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """Return Whisper base, fetched into the usual cache if it is not there."""
    try:
        return ensure("base", DEFAULT_CACHE.expanduser(), ignore)
    except ModelUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def engine(checkpoint: Checkpoint) -> WhisperEngine:
    return load(checkpoint, "cpu", "float32", 1, ignore)


def decoded(name: str) -> np.ndarray:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", str(SAMPLES / name)]
    command += ["-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
    pcm = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(pcm, np.int16).astype(np.float32) / 32768


def text(reply: Reply) -> str:
    return "".join(segment.text for segment in reply.segments)


def test_two_languages_in_one_batch_are_each_understood(engine: WhisperEngine) -> None:
    """Each row is detected and transcribed in its own language."""
    options = Options(beam_size=None)
    names = ("english/jfk.flac", "french/elevation.mp3")
    requests = [Request(pcm=decoded(name), options=options, language=None, temperature=0.0) for name in names]

    english, french = transcribe(engine, requests)

    assert (english.language, french.language) == ("en", "fr")
    assert "what you can do for your country" in text(english)
    assert "les confins des sphères étoilé" in text(french)


def test_segments_and_words_are_whispers_own(engine: WhisperEngine, checkpoint: Checkpoint) -> None:
    """Beam search with words, of a whole window: the same text and the same times as whisper.transcribe."""
    speech = decoded("english/jfk.flac")
    pcm = np.pad(speech, (0, WINDOW_SAMPLES - len(speech)))
    options = Options(word_timestamps=True)
    (reply,) = transcribe(engine, [Request(pcm=pcm, options=options, language="en", temperature=0.0)])
    expected = openai_whisper.transcribe(
        read(checkpoint), pcm, language="en", beam_size=5, temperature=0.0, word_timestamps=True, fp16=False
    )["segments"]

    assert [each["text"] for each in expected] == [each.text for each in reply.segments]
    assert [[word["word"] for word in each["words"]] for each in expected] == [
        [word["word"] for word in each.words or ()] for each in reply.segments
    ]
    times = [(word["start"], word["end"]) for each in expected for word in each["words"]]
    ours = [(word["start"], word["end"]) for each in reply.segments for word in each.words or ()]
    assert np.array(times) == pytest.approx(np.array(ours), abs=0.021)


def test_the_words_of_a_late_window_do_not_move(engine: WhisperEngine) -> None:
    """Where the window lies in its file changes no word by more than rounding."""
    pcm = decoded("english/jfk.flac")
    request = {"pcm": pcm, "options": Options(beam_size=None, word_timestamps=True), "language": "en"}
    early, late = transcribe(
        engine, [Request(**request, temperature=0.0, seek=seek, last_speech=0.0) for seek in (0, 123_456)]
    )

    times = [
        [word["start"] for each in reply.segments for word in each.words or ()] for reply in (early, late)
    ]
    assert times[0] == pytest.approx(times[1], abs=0.3)
