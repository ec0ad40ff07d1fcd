"""Tokens of one window -> segments, cut at the timestamps exactly as whisper/transcribe.py cuts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.stage.transcribe.engine import HOP, SAMPLE_RATE, Heard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whisper.tokenizer import Tokenizer

SECONDS_PER_TIMESTAMP = 0.02


class Cut(NamedTuple):
    """What the timestamps say of a window."""

    segments: list[Heard]
    consumed: float  # seconds
    single_ending: bool  # nothing began after the last timestamp


def cut(tokens: Sequence[int], tokenizer: Tokenizer, frames: int) -> Cut:
    """Cut a window of `frames` mel frames of content into its segments."""
    begin: int = tokenizer.timestamp_begin
    is_stamp = [token >= begin for token in tokens]
    single_ending = is_stamp[-2:] == [False, True]
    whole = frames * HOP / SAMPLE_RATE
    ends = [at for at in range(1, len(tokens)) if is_stamp[at - 1] and is_stamp[at]]
    if not ends:
        end = _last_timestamp(tokens, begin) or whole
        return Cut([_heard(tokens, 0.0, end, tokenizer)], whole, single_ending)
    if single_ending:
        ends.append(len(tokens))
    parts = [tokens[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    segments = [
        _heard(part, _seconds(part[0], begin), _seconds(part[-1], begin), tokenizer) for part in parts
    ]
    return Cut(segments, whole if single_ending else segments[-1].end, single_ending)


def _last_timestamp(tokens: Sequence[int], begin: int) -> float:
    return next((_seconds(token, begin) for token in reversed(tokens) if token >= begin), 0.0)


def _seconds(token: int, begin: int) -> float:
    return (token - begin) * SECONDS_PER_TIMESTAMP


def _heard(tokens: Sequence[int], start: float, end: float, tokenizer: Tokenizer) -> Heard:
    text = tokenizer.decode([token for token in tokens if token < tokenizer.eot])
    return Heard(start=start, end=end, text=text, tokens=tuple(tokens))
