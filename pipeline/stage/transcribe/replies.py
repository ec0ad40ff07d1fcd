"""What was decoded of windows that ended together -> their replies, with words where they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.stage.transcribe.alignment import Spoken, align
from pipeline.stage.transcribe.engine import Reply
from pipeline.stage.transcribe.mel import content_frames
from pipeline.stage.transcribe.segments import cut
from pipeline.stage.transcribe.words import text_of, with_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whisper.tokenizer import Tokenizer

    from pipeline.stage.transcribe.alignment import Heads
    from pipeline.stage.transcribe.decoder import Decoder
    from pipeline.stage.transcribe.decoding import Decoded
    from pipeline.stage.transcribe.engine import Heard, Request
    from pipeline.stage.transcribe.segments import Cut


class Ended(NamedTuple):
    """A window that has been decoded."""

    request: Request
    language: str
    tokenizer: Tokenizer
    decoded: Decoded


def replies(decoder: Decoder, heads: Heads, windows: Sequence[Ended]) -> list[Reply]:
    """Return the reply to each window; `heads` are those that words are timed by."""
    cuts = [cut(each.decoded.tokens, each.tokenizer, content_frames(each.request)) for each in windows]
    asked = [at for at, each in enumerate(windows) if each.request.options.word_timestamps]
    timed = _timed(decoder, heads, [windows[at] for at in asked], [cuts[at].segments for at in asked])
    for at, segments in zip(asked, timed, strict=True):
        cuts[at] = cuts[at]._replace(segments=segments)
    return [_reply(each, made) for each, made in zip(windows, cuts, strict=True)]


def _timed(
    decoder: Decoder, heads: Heads, windows: Sequence[Ended], segments: Sequence[list[Heard]]
) -> list[list[Heard]]:
    """Return the segments of each window with their words."""
    if not windows:
        return []
    rows = list(zip(windows, segments, strict=True))
    spoken = [
        Spoken(text_of(made, each.tokenizer), each.tokenizer, content_frames(each.request))
        for each, made in rows
    ]
    sounds = [each.decoded.sound for each in windows if each.decoded.sound]
    found = align(decoder, heads, sounds, spoken)
    return [
        with_words(made, alignment, each.tokenizer, each.request)
        for (each, made), alignment in zip(rows, found, strict=True)
    ]


def _reply(window: Ended, made: Cut) -> Reply:
    decoded = window.decoded
    return Reply(
        language=window.language,
        segments=tuple(made.segments),
        tokens=decoded.tokens,
        consumed=made.consumed,
        temperature=window.request.temperature,
        avg_logprob=decoded.avg_logprob,
        compression_ratio=decoded.compression_ratio,
        no_speech_prob=decoded.no_speech_prob,
        single_ending=made.single_ending,
    )
