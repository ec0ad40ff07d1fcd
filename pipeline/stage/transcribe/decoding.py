"""whisper.decode over the windows of several files: rows that decode alike go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from whisper.decoding import DecodingOptions, DecodingTask

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whisper.decoding import DecodingResult
    from whisper.model import Whisper

    from pipeline.stage.transcribe.engine import Request


class EncodedDecoding(DecodingTask):  # type: ignore[misc]
    """whisper's decoding of windows that are encoded already, in whatever type the model computes."""

    def _get_audio_features(self, mel: torch.Tensor) -> torch.Tensor:
        return mel


def decode(
    model: Whisper, features: torch.Tensor, requests: Sequence[Request], languages: Sequence[str]
) -> list[DecodingResult]:
    """Decode windows; `features` is (windows, n_audio_ctx, n_audio_state)."""
    results: dict[int, DecodingResult] = {}
    for rows in _groups(requests, languages):
        request = requests[rows[0]]
        task = EncodedDecoding(model, decoding_options(request, languages[rows[0]]))
        torch.manual_seed(request.seed)
        results |= zip(rows, task.run(features[rows]), strict=True)
    return [results[row] for row in range(len(requests))]


def decoding_options(request: Request, language: str) -> DecodingOptions:
    """Return whisper's options for one window, as whisper/transcribe.py derives them from a temperature."""
    options = request.options
    search: dict[str, Any] = {"beam_size": options.beam_size, "patience": options.patience}
    if request.temperature > 0:
        search = {"best_of": options.best_of}
    return DecodingOptions(
        task=options.task,
        language=language,
        temperature=request.temperature,
        length_penalty=options.length_penalty,
        suppress_tokens=options.suppress_tokens,
        prompt=list(request.prompt),
        fp16=False,  # looked at only where DecodingTask encodes
        **search,
    )


def _groups(requests: Sequence[Request], languages: Sequence[str]) -> Iterable[list[int]]:
    """Part the rows into batches that whisper.decode can take.

    Beams and samples go alone: openai-whisper 20250625 repeats tokens by candidate but not the features, and a
    seeded sample must not depend on its company.
    """
    groups: dict[object, list[int]] = {}
    for row, request in enumerate(requests):
        options = decoding_options(request, languages[row])
        alone = row if request.temperature > 0 or options.beam_size else None
        key = (
            options.task,
            options.language,
            options.length_penalty,
            options.suppress_tokens,
            request.prompt,
            alone,
        )
        groups.setdefault(key, []).append(row)
    return groups.values()
