"""A time for every word of a window, by whisper's own alignment (whisper/timing.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whisper.timing import add_word_timestamps

from pipeline.stage.transcribe.engine import HOP, SAMPLE_RATE, Heard

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from whisper.model import Whisper
    from whisper.tokenizer import Tokenizer

    from pipeline.stage.transcribe.engine import Request


class EncodedModel:
    """The model as whisper/timing.py calls it, answering for a window that is encoded already."""

    def __init__(self, model: Whisper, features: torch.Tensor) -> None:
        self.model = model
        self.features = features

    def __call__(self, _mel: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits of all tokens."""
        logits: torch.Tensor = self.model.decoder(tokens, self.features)
        return logits

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)


def with_words(
    segments: Sequence[Heard], model: EncodedModel, tokenizer: Tokenizer, request: Request, frames: int
) -> list[Heard]:
    """Return the segments with their words; whisper moves a segment's start and end to its words'."""
    offset = request.seek * HOP / SAMPLE_RATE
    rows: list[dict[str, Any]] = [
        {"seek": request.seek, "start": each.start + offset, "end": each.end + offset, "tokens": each.tokens}
        for each in segments
    ]
    add_word_timestamps(
        segments=rows,
        model=model,
        tokenizer=tokenizer,
        mel=model.features,
        num_frames=frames,
        prepend_punctuations=request.options.prepend_punctuations,
        append_punctuations=request.options.append_punctuations,
        last_speech_timestamp=request.last_speech + offset,
    )
    return [_timed(each, row, offset) for each, row in zip(segments, rows, strict=True)]


def _timed(heard: Heard, row: dict[str, Any], offset: float) -> Heard:
    words = tuple(
        {
            "word": word["word"],
            "start": float(word["start"] - offset),
            "end": float(word["end"] - offset),
            "probability": float(word["probability"]),
        }
        for word in row["words"]
    )
    return replace(heard, start=float(row["start"] - offset), end=float(row["end"] - offset), words=words)
