"""What was heard in a window -> segments of the file, in its seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.relay.messages import Segment
from pipeline.stage.transcribe.engine import HOP, SAMPLE_RATE

if TYPE_CHECKING:
    from pipeline.stage.transcribe.engine import Heard, Reply


def located(reply: Reply, begin: int, end: int) -> list[Segment]:
    """Return what was heard in a window from sample `begin` on as segments of the file, none beyond `end`."""
    offset, last = begin / SAMPLE_RATE, end / SAMPLE_RATE
    made = []
    for heard in reply.segments:
        start, stop = min(offset + heard.start, last), min(offset + heard.end, last)
        if heard.text.strip() and start < stop:
            made.append(segment(reply, heard, begin, (round(start, 3), round(stop, 3))))
    return made


def segment(reply: Reply, heard: Heard, begin: int, times: tuple[float, float]) -> Segment:
    """Return one segment of the file: `times` in its seconds, from a window that began at sample `begin`."""
    offset = begin / SAMPLE_RATE
    return Segment(
        start=times[0],
        end=times[1],
        text=heard.text,
        tokens=heard.tokens,
        seek=begin // HOP,
        temperature=reply.temperature,
        avg_logprob=reply.avg_logprob,
        compression_ratio=reply.compression_ratio,
        no_speech_prob=reply.no_speech_prob,
        words=None if heard.words is None else tuple(_moved(word, offset) for word in heard.words),
    )


def cleared(each: Segment) -> Segment:
    """Return the segment, without its text when it is instantaneous or blank, as whisper clears it."""
    if each.start != each.end and each.text.strip():
        return each
    return msgspec.structs.replace(each, text="", tokens=(), words=each.words and ())


def _moved(word: dict[str, Any], offset: float) -> dict[str, Any]:
    return word | {"start": round(offset + word["start"], 3), "end": round(offset + word["end"], 3)}
