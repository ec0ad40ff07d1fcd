"""openai-whisper: transcribe() for files, encoder and decode() for windows; fp32, as it does on any CPU.

settings: "options", those of transcribe(); "beam_size" and "batch" for windows.
"""

from __future__ import annotations

import time
from typing import Any

import exchange
import torch
import whisper


class OpenAI:
    """A loaded checkpoint."""

    def __init__(self, order: dict[str, Any]) -> None:
        torch.set_num_threads(order["threads"])
        self.settings = order["settings"]
        self.model = whisper.load_model(order["model"], device="cpu")

    def transcribe(self, path: str, language: str | None) -> str:
        """Return the text of a file; FFmpeg is whisper's own call."""
        options = {"fp16": False, "language": language} | self.settings["options"]
        return str(self.model.transcribe(path, **options)["text"])

    @torch.inference_mode()
    def windows(self, pcm: Any) -> dict[str, float]:
        """Transcribe windows of English with timestamps."""
        took = {"mel": 0.0, "encode": 0.0, "decode": 0.0, "tokens": 0.0}
        options = whisper.DecodingOptions(language="en", beam_size=self.settings["beam_size"], fp16=False)
        for batch in exchange.batches(pcm, self.settings["batch"]):
            times = [time.perf_counter()]
            mels = torch.stack([whisper.log_mel_spectrogram(window) for window in batch])
            times.append(time.perf_counter())
            features = self.model.encoder(mels)
            times.append(time.perf_counter())
            results = whisper.decode(self.model, features, options)
            times.append(time.perf_counter())
            for part, begin, end in zip(took, times, times[1:], strict=False):
                took[part] += end - begin
            took["tokens"] += sum(len(result.tokens) for result in results)
        return took


if __name__ == "__main__":
    exchange.serve(OpenAI)
