from __future__ import annotations

import numpy as np
import pytest
import torch
from whisper.audio import N_FRAMES, N_SAMPLES, log_mel_spectrogram

from pipeline.options import Options
from pipeline.stage.transcribe import mel
from pipeline.stage.transcribe.engine import HOP, MARGIN, WINDOW_SAMPLES, Request

CPU = torch.device("cpu")


@pytest.fixture
def talk() -> np.ndarray:
    """70.3 s of noise that swells and fades, so that windows differ in loudness."""
    samples = np.arange(70 * 16_000 + 4_801)
    noise = np.random.default_rng(0).normal(0, 0.1, len(samples))
    return (noise * np.sin(samples / 200_000) ** 2).astype(np.float32)


def framed(pcm: np.ndarray, seek: int) -> np.ndarray:
    """Cut an exact window out of a file as its Track does: margins, reflected at the file's start."""
    padded = np.pad(np.concatenate([pcm, np.zeros(N_SAMPLES, np.float32)]), MARGIN, mode="reflect")
    return padded[seek * HOP : seek * HOP + WINDOW_SAMPLES + 2 * MARGIN]


def request(pcm: np.ndarray, **changes: object) -> Request:
    return Request(pcm=pcm, options=Options(), language="en", temperature=0.0, **changes)


@pytest.mark.parametrize("seek", [0, 1, 1234, 3000, 5000])
def test_an_exact_window_is_a_slice_of_the_whole_files_mel(talk: np.ndarray, seek: int) -> None:
    """Margins and the file's own maximum make it equal to whisper's, frame for frame."""
    whole = log_mel_spectrogram(talk, padding=N_SAMPLES)
    loudest = mel.log10_mel(torch.from_numpy(np.pad(talk, MARGIN, mode="reflect"))[None], 80).amax().item()
    window = request(framed(talk, seek), frames=3000, log_mel_max=loudest)

    torch.testing.assert_close(
        mel.log_mels([window], 80, CPU)[0], whole[:, seek : seek + N_FRAMES], atol=1e-4, rtol=0
    )


def test_the_maximum_of_stretches_is_the_whole_files(talk: np.ndarray) -> None:
    """The first pass may walk the file in pieces, if each carries its margins."""
    padded = torch.from_numpy(np.pad(talk, MARGIN, mode="reflect"))[None]
    step = 800 * HOP
    pieces = [padded[:, at : at + step + 2 * MARGIN] for at in range(0, padded.shape[1] - 2 * MARGIN, step)]

    expected = mel.log10_mel(padded, 80).amax().item()
    assert expected == pytest.approx(max(mel.log10_mel(each, 80).amax().item() for each in pieces), abs=1e-5)


def test_a_short_window_is_what_whisper_makes_of_a_short_file(talk: np.ndarray) -> None:
    """whisper/transcribe.py: padded with 30 s, cut at its content, filled with zeros."""
    short = talk[16_000:150_007]
    frames = len(short) // HOP
    whole = log_mel_spectrogram(short, padding=N_SAMPLES)[:, :frames]

    windows = [request(short)]
    actual = mel.blanked(mel.log_mels(windows, 80, CPU), windows)[0]

    torch.testing.assert_close(actual[:, :frames], whole, atol=1e-4, rtol=0)
    assert not actual[:, frames:].any()


@pytest.mark.parametrize("samples", [1, 150, 150_007, 480_000])
def test_a_window_is_framed_as_whisper_pads(talk: np.ndarray, samples: int) -> None:
    """With silence up to 30 s, and reflected at both ends."""
    window = np.pad(talk[:samples], (0, N_SAMPLES - samples))

    np.testing.assert_array_equal(mel.framed(request(talk[:samples])), np.pad(window, MARGIN, mode="reflect"))


def test_windows_of_different_loudness_do_not_touch_each_other(talk: np.ndarray) -> None:
    """Each is clamped by its own maximum, whatever lies beside it in the batch."""
    quiet, loud = request(talk[:160_000] * 0.01), request(talk[160_000:640_000])

    together = mel.log_mels([quiet, loud], 80, CPU)

    assert torch.equal(mel.log_mels([quiet], 80, CPU)[0], together[0])


def test_one_sample_is_a_window(talk: np.ndarray) -> None:
    """Shorter than one frame, it still has one."""
    assert mel.content_frames(request(talk[:1])) == 1
    assert mel.log_mels([request(talk[:1])], 80, CPU).isfinite().all()


@pytest.mark.parametrize(
    ("seconds", "positions"), [(0.5, 1000), (17.9, 1000), (18.1, 1050), (20, 1100), (28.5, 1500), (30, 1500)]
)
def test_little_silence_is_heard_after_a_short_window(seconds: float, positions: int) -> None:
    """In whole seconds, two at least where there is room, and never less than the decoder can follow."""
    assert mel.context(request(np.zeros(int(seconds * 16_000), np.float32))) == positions


def test_exact_windows_are_heard_as_whisper_hears_them() -> None:
    """With all the silence after them."""
    assert mel.context(request(np.zeros(480_400, np.float32), frames=100)) == mel.POSITIONS
