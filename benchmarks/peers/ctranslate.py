"""faster-whisper for files, sequential or batched; its engine CTranslate2 for windows.

settings: "compute_type"; "batch", 0 for sequential; "options", those of transcribe(); "beam_size" for windows.
"""

from __future__ import annotations

import time
from typing import Any

import ctranslate2
import exchange
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel

PROMPT = [50258, 50259, 50359]  # <|startoftranscript|> <|en|> <|transcribe|>: with timestamps
LONGEST = 448  # tokens
FRAMES = 3000


class FasterWhisper:
    """A loaded model."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.settings = order["settings"]
        self.model = WhisperModel(
            order["model"],
            device="cpu",
            compute_type=self.settings["compute_type"],
            cpu_threads=order["threads"],
        )
        self.pipeline = BatchedInferencePipeline(self.model)

    def transcribe(self, path: str, language: str | None) -> str:
        """Return the text of a file; its decoder is PyAV, in the same process."""
        options = {"language": language} | self.settings["options"]
        if self.settings["batch"]:
            segments, _ = self.pipeline.transcribe(path, batch_size=self.settings["batch"], **options)
        else:
            segments, _ = self.model.transcribe(path, **options)
        return "".join(segment.text for segment in segments)

    def windows(self, pcm: Any) -> dict[str, float]:
        """Transcribe windows of English with timestamps."""
        took = {"mel": 0.0, "encode": 0.0, "decode": 0.0, "tokens": 0.0}
        for batch in exchange.batches(pcm, self.settings["batch"]):
            times = [time.perf_counter()]
            mels = np.stack([self.model.feature_extractor(window)[:, :FRAMES] for window in batch])
            times.append(time.perf_counter())
            features = self.model.model.encode(ctranslate2.StorageView.from_array(mels))
            times.append(time.perf_counter())
            results = self._generate(features, len(batch))
            times.append(time.perf_counter())
            for part, begin, end in zip(took, times, times[1:], strict=False):
                took[part] += end - begin
            took["tokens"] += sum(len(result.sequences_ids[0]) for result in results)
        return took

    def _generate(self, features: Any, rows: int) -> Any:
        """Decode with the options that faster-whisper itself passes."""
        return self.model.model.generate(
            features,
            [PROMPT] * rows,
            beam_size=self.settings["beam_size"],
            patience=1,
            length_penalty=1,
            max_length=LONGEST,
            suppress_blank=True,
            suppress_tokens=list(self._silenced()),
            max_initial_timestamp_index=50,
            return_scores=True,
            return_no_speech_prob=True,
        )

    def _silenced(self) -> tuple[int, ...]:
        from faster_whisper.tokenizer import Tokenizer  # noqa: PLC0415
        from faster_whisper.transcribe import get_suppressed_tokens  # noqa: PLC0415

        tokenizer = Tokenizer(self.model.hf_tokenizer, True, task="transcribe", language="en")
        return tuple(get_suppressed_tokens(tokenizer, [-1]))


if __name__ == "__main__":
    exchange.serve(FasterWhisper)
