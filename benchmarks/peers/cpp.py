"""whisper.cpp through pywhispercpp, as the wheel was built.

settings: "strategy" (0 greedy, 1 beam search) and "options", those of whisper_full_params.
"""

from __future__ import annotations

import subprocess
from typing import Any

import exchange
import numpy as np
from pywhispercpp.model import Model


class WhisperCpp:
    """A loaded ggml model."""

    def __init__(self, order: dict[str, Any]) -> None:
        settings = order["settings"]
        self.ffmpeg = order["ffmpeg"]
        self.model = Model(
            order["model"],
            params_sampling_strategy=settings["strategy"],
            n_threads=order["threads"],
            print_progress=False,
            print_realtime=False,
            print_timestamps=False,
            **settings["options"],
        )

    def transcribe(self, path: str, language: str | None) -> str:
        """Return the text of a file; it takes samples, so FFmpeg decodes as openai-whisper has it done."""
        command = [self.ffmpeg, "-nostdin", "-loglevel", "error", "-i", path, "-ac", "1", "-ar", "16000"]
        raw = subprocess.run([*command, "-f", "s16le", "-"], capture_output=True, check=True).stdout
        pcm = np.frombuffer(raw, np.int16).astype(np.float32) / 32768
        segments = self.model.transcribe(pcm, language=language or "")  # "" detects it
        return " ".join(segment.text for segment in segments)  # it strips them

    def windows(self, pcm: Any) -> dict[str, float]:
        """Refuse: its API has no batch of windows."""
        raise NotImplementedError


if __name__ == "__main__":
    exchange.serve(WhisperCpp)
