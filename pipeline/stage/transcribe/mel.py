"""Log-mel windows as whisper makes them (whisper/audio.py), from samples framed by the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from whisper.audio import N_FFT, mel_filters

from pipeline.stage.transcribe.engine import HOP, MARGIN, WINDOW_SAMPLES
from pipeline.stage.transcribe.transfer import sent, uploaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.stage.transcribe.engine import Request

FRAMES = WINDOW_SAMPLES // HOP
POSITIONS = FRAMES // 2  # of the encoder: 20 ms each
SECOND = 50  # positions
SILENCE_AFTER = 2  # seconds that the encoder hears after the sound, at least
LEAST = 20 * SECOND  # positions: of fewer the decoder, which has never seen so few, begins to repeat itself
FLOOR = -10.0  # log10 of whisper's smallest power
DYNAMIC_RANGE = 8.0  # whisper clamps this far below the maximum


def framed(request: Request) -> NDArray[np.float32]:
    """Return 30 s and a MARGIN on each side: as it came in exact mode, else padded as whisper pads a file."""
    if request.frames is not None:
        return request.pcm
    samples = np.zeros(WINDOW_SAMPLES + 2 * MARGIN, np.float32)
    window = samples[MARGIN:-MARGIN]
    window[: len(request.pcm)] = request.pcm[:WINDOW_SAMPLES]
    samples[:MARGIN], samples[-MARGIN:] = window[MARGIN:0:-1], window[-2 : -MARGIN - 2 : -1]
    return samples


def content_frames(request: Request) -> int:
    """Return how many of the window's 3000 frames hold sound."""
    return request.frames if request.frames is not None else max(1, len(request.pcm) // HOP)


def context(request: Request) -> int:
    """Return how many positions of the encoder a window is worth: its sound, a little silence, in whole seconds.

    In exact mode all of them, as in whisper. Otherwise most of the silence that whisper pads a window with is left
    out: it costs as much as speech, and no fewer words are heard wrong with it.
    """
    if request.frames is not None:
        return POSITIONS
    seconds = -(-content_frames(request) // (2 * SECOND)) + SILENCE_AFTER
    return min(POSITIONS, max(LEAST, seconds * SECOND))


def log_mels(requests: Sequence[Request], n_mels: int, device: torch.device) -> torch.Tensor:
    """Return whisper's normalised log-mel of each window: (windows, n_mels, 3000), float32."""
    # one at a time: on its way a window takes sixteen times the memory of what comes out
    every = (uploaded(framed(request), device)[None] for request in requests)
    power = torch.cat([log10_mel(pcm, n_mels) for pcm in every])
    loudest = power.amax(dim=(1, 2))
    for row, request in enumerate(requests):
        if request.log_mel_max is not None:
            loudest[row] = request.log_mel_max
    clamped = torch.maximum(power, loudest[:, None, None] - DYNAMIC_RANGE)
    return (clamped + 4.0) / 4.0


def blanked(mels: torch.Tensor, requests: Sequence[Request]) -> torch.Tensor:
    """Return the windows with zeros after their content, as whisper's pad_or_trim leaves them."""
    frames = sent([content_frames(request) for request in requests], mels.device)
    return mels * (torch.arange(FRAMES, device=mels.device) < frames[:, None])[:, None, :]


def log10_mel(pcm: torch.Tensor, n_mels: int) -> torch.Tensor:
    """Return log10 mel power (rows, n_mels, frames) of samples that carry their margins; the last frame is dropped."""
    window = torch.hann_window(N_FFT, device=pcm.device)
    stft = torch.stft(pcm, N_FFT, HOP, window=window, center=False, return_complex=True)
    power = mel_filters(pcm.device, n_mels) @ (stft[..., :-1].abs() ** 2)
    return torch.clamp(power, min=10.0**FLOOR).log10()
