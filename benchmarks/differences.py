"""What differs between two transcripts of a recording, and where they parted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

SAME_TIME_S = 1e-6
PROMPT = 223  # tokens of it that the model is shown

Decoded = dict[str, Any]


@dataclass
class Transcript:
    """What one side made of a recording: whisper's result, and each window that it decoded."""

    result: dict[str, Any] = field(default_factory=dict)
    decoded: list[Decoded] = field(default_factory=list)
    seconds: float = 0.0


def noted(seek: int, frames: int, prompt: Sequence[int], answer: Any) -> Decoded:
    """Return what there is to compare of a decoded window: whisper's DecodingResult or our Reply."""
    return {
        "seek": seek,
        "frames": frames,
        "prompt": list(prompt[-PROMPT:]),
        "temperature": round(answer.temperature, 6),
        "tokens": list(answer.tokens),
        "avg_logprob": answer.avg_logprob,
        "no_speech_prob": answer.no_speech_prob,
        "compression_ratio": answer.compression_ratio,
    }


def difference(theirs: Transcript, ours: Transcript) -> str | None:
    """Name the first thing in which the results differ."""
    for name in ("language", "text"):
        if theirs.result.get(name) != ours.result.get(name):
            return name
    segments = [each.result.get("segments", ()) for each in (theirs, ours)]
    if len(segments[0]) != len(segments[1]):
        return "number of segments"
    pairs = list(zip(*segments, strict=True))
    for name in ("text", "tokens"):
        if any(a[name] != b[name] for a, b in pairs):
            return f"segments' {name}"
    if any(apart(a, b) for a, b in pairs):
        return "segments' times"
    return "words" if any(words_differ(a.get("words") or (), b["words"] or ()) for a, b in pairs) else None


def words_differ(theirs: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]]) -> bool:
    """Tell whether other words were heard, or at other times."""
    if [each["word"] for each in theirs] != [each["word"] for each in ours]:
        return True
    return any(apart(a, b) for a, b in zip(theirs, ours, strict=True))


def apart(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Tell whether two segments or words begin or end at different times."""
    return max(abs(a["start"] - b["start"]), abs(a["end"] - b["end"])) > SAME_TIME_S


def parting(theirs: Transcript, ours: Transcript) -> tuple[int, str] | None:
    """Return which decoded window is the first that differs, and whether what was asked or what was answered."""
    for number, (a, b) in enumerate(zip(theirs.decoded, ours.decoded, strict=False)):
        if any(a[name] != b[name] for name in ("seek", "prompt", "temperature")):
            return number, "asked"
        if a["tokens"] != b["tokens"]:
            return number, "answered"
    return None


def asked_otherwise(theirs: Transcript, ours: Transcript, number: int) -> str:
    """Say what was decoded instead, and the figures of the window before, by which it was decided."""
    asked = [each.decoded[number] for each in (theirs, ours)]
    before = [each.decoded[number - 1] for each in (theirs, ours)]
    names = ("avg_logprob", "no_speech_prob", "compression_ratio")
    figures = [f"{name} " + " and ".join(f"{each[name]:.6f}" for each in before) for name in names]
    where = " and ".join(f"{each['seek'] / 100} s at {each['temperature']}" for each in asked)
    return f"asked for {where}, after {', '.join(figures)}"


def first_other(theirs: Sequence[int], ours: Sequence[int], end: int) -> tuple[int, int, int]:
    """Return the place of the first token that differs, and both tokens."""
    pairs = enumerate(zip([*theirs, end], [*ours, end], strict=False))
    return next((at, own, other) for at, (own, other) in pairs if own != other)
