"""Skipping silences around suspected inventions, as whisper does with hallucination_silence_threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.stage.pack.context import last_end
from pipeline.stage.transcribe.engine import HOP, SAMPLE_RATE, WINDOW_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.relay.messages import Segment

PUNCTUATION = "\"'“¿([{-\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - whisper's own
FRAMES_PER_SECOND = SAMPLE_RATE // HOP


class Place(NamedTuple):
    """Where a window lies, in frames, in a file of `content` frames."""

    seek: int
    size: int
    content: int


def skip_silences(  # noqa: PLR0913 - the state of whisper's loop
    segments: list[Segment],
    seek: int,
    place: Place,
    threshold: float,
    last_speech: float,
    *,
    single_ending: bool,
) -> tuple[list[Segment] | None, int]:
    """Return the segments to keep and the frame to seek to; `threshold` and `last_speech` are seconds.

    None: the window begins with an invention after a silence, and is heard again from its end.
    """
    if not single_ending:
        seek = _after_last_word(segments, seek, place, threshold)
    first = _next_with_words(segments)
    gap = first.start - place.seek / FRAMES_PER_SECOND if first else 0.0
    if is_anomaly(first) and gap > threshold:
        return None, place.seek + round(gap * FRAMES_PER_SECOND)
    return _without_islands(segments, seek, place, threshold, last_speech)


def is_anomaly(segment: Segment | None) -> bool:
    """Tell whether the first words of a segment are very long, very short or improbable."""
    if segment is None or not segment.words:
        return False
    words = [word for word in segment.words if word["word"] not in PUNCTUATION][:8]
    score = sum(_oddity(word) for word in words)
    return score >= 3 or score + 0.01 >= len(words)  # noqa: PLR2004 - whisper's own figures


def _oddity(word: dict[str, Any]) -> float:
    duration: float = word["end"] - word["start"]
    improbable = float(word.get("probability", 0.0) < 0.15)  # noqa: PLR2004 - whisper's own figures
    return improbable + max(0.0, 0.133 - duration) * 15 + max(0.0, duration - 2.0)


def _after_last_word(segments: list[Segment], seek: int, place: Place, threshold: float) -> int:
    end = last_end(segments)
    if end is None or end <= place.seek / FRAMES_PER_SECOND:
        return seek
    window_end = (place.seek * HOP + WINDOW_SAMPLES) / SAMPLE_RATE
    return round(end * FRAMES_PER_SECOND) if window_end - end > threshold else place.seek + place.size


def _without_islands(
    segments: list[Segment], seek: int, place: Place, threshold: float, last_speech: float
) -> tuple[list[Segment], int]:
    """Drop from the first suspect on that lies between silences or other suspects."""
    begin = place.seek / FRAMES_PER_SECOND
    window_end = (place.seek * HOP + WINDOW_SAMPLES) / SAMPLE_RATE
    for number, each in enumerate(segments):
        if not each.words:
            continue
        if is_anomaly(each):
            after = _next_with_words(segments[number + 1 :])
            resumes = (
                after.words[0]["start"] if after and after.words else begin + place.size / FRAMES_PER_SECOND
            )
            before_is_silent = (
                each.start - last_speech > threshold or each.start < threshold or each.start - begin < 2.0  # noqa: PLR2004
            )
            after_is_silent = (
                resumes - each.end > threshold or is_anomaly(after) or window_end - each.end < 2.0  # noqa: PLR2004
            )
            if before_is_silent and after_is_silent:
                ends = place.content / FRAMES_PER_SECOND - each.end < threshold
                skipped = round(max(begin + 1, each.start) * FRAMES_PER_SECOND)
                return segments[:number], place.content if ends else skipped
        last_speech = each.end
    return segments, seek


def _next_with_words(segments: Sequence[Segment]) -> Segment | None:
    return next((each for each in segments if each.words), None)
