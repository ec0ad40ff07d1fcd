"""whisper's rules for a reply: good, to be decoded again at a higher temperature, or silence (transcribe.py)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.options import Options
    from pipeline.stage.transcribe.engine import Reply


def temperatures(options: Options) -> list[float]:
    """Return the temperatures to try, in order: whisper/transcribe.py, cli()."""
    step, first = options.temperature_increment_on_fallback, options.temperature
    if not step or step < 0:
        return [first]
    count = int((1.0 - first) / step + 1e-6) + 1
    return [round(first + number * step, 6) for number in range(max(1, count))]


def has_failed(reply: Reply, options: Options) -> bool:
    """Tell whether the window should be decoded again: too repetitive or too improbable, and not silence."""
    if _is_improbable(reply, options):
        silence = options.no_speech_threshold
        return silence is None or reply.no_speech_prob <= silence
    return repeats(reply, options)


def repeats(reply: Reply, options: Options) -> bool:
    """Tell whether the text compresses so well that it must be a loop."""
    most = options.compression_ratio_threshold
    return most is not None and reply.compression_ratio > most


def merit(reply: Reply, options: Options) -> tuple[bool, float]:
    """Return what ranks the replies of a window that failed at every temperature: no loop first, then likelihood."""
    return not repeats(reply, options), reply.avg_logprob


def is_silence(reply: Reply, options: Options) -> bool:
    """Tell whether the window holds no speech, whatever text came back."""
    silence, floor = options.no_speech_threshold, options.logprob_threshold
    if silence is None or reply.no_speech_prob <= silence:
        return False
    return floor is None or reply.avg_logprob <= floor


def seed(sha256: str, start: int, temperature: float) -> int:
    """Return the seed for sampling one window of one file, below 2**63: the same in every run and company."""
    digest = hashlib.sha256(f"{sha256}:{start}:{temperature}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _is_improbable(reply: Reply, options: Options) -> bool:
    return options.logprob_threshold is not None and reply.avg_logprob < options.logprob_threshold
