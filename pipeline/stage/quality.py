"""Signs that a transcript is not what was said -> warnings, each a short code and a sentence. Pure."""

from __future__ import annotations

import re
import unicodedata
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.stage.transcribe.engine import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.relay.messages import Segment, Window
    from pipeline.stage.pack.cut import Clip

    Word = dict[str, Any]

# What Whisper learned to say over silence: the ends of subtitled films and videos. Compared without case,
# accents and punctuation; found inside a segment's text.
PHANTOMS = (
    "sous titres realises par", "sous titrage", "sous titres par",
    "merci d avoir regarde", "abonnez vous", "amara org", "thank you for watching", "thanks for watching",
    "please subscribe", "subscribe to my channel", "like and subscribe", "subtitles by", "transcription by",
    "untertitel der amara", "untertitel von", "untertitelung", "vielen dank furs zuschauen",
    "subtitulos realizados por", "subtitulos por la comunidad", "gracias por ver el video",
    "sottotitoli creati dalla comunita", "sottotitoli a cura di", "grazie per la visione",
    "legendas pela comunidade", "obrigado por assistir", "ondertiteld door", "ondertiteling door",
    "субтитры сделал", "субтитры создавал", "продолжение следует", "спасибо за просмотр",
    "ご視聴ありがとうございました", "请不吝点赞", "字幕由",
)  # fmt: skip
LOOP_NGRAM = 12  # words: loops are a sentence at most
LOOP_TIMES = 4
COMPRESSION = 2.4  # whisper's own threshold, over the whole window
FASTEST = 7.0  # words a second; auctioneers reach 6
SILENT_SPEECH_S = 4.0  # of speech without a word of text
SLACK_S = 0.5
_FEW_CHARACTERS = 60  # zlib says nothing about so little
_LISTED = 3


def window_warnings(segments: Sequence[Segment], clip: Clip | None) -> tuple[str, ...]:
    """Return what is suspicious in one window; the clip tells where voice activity saw speech, if it looked."""
    words = [word for each in segments for word in _plain(each.text).split()]
    found = [_loop(words, segments), _phantom(segments), _too_fast(words, segments)]
    if clip is not None and clip.speech is not None:
        found += [_in_silence(segments, clip), _untranscribed(words, clip)]
    return tuple(each for each in found if each)


def file_warnings(windows: Iterable[Window]) -> list[str]:
    """Return one line for each kind of warning of the windows, with the first places where it was seen."""
    places: dict[str, list[str]] = {}
    heard_nothing = True
    for window in windows:
        heard_nothing = heard_nothing and not any(each.text.strip() for each in window.segments)
        for warning in window.warnings:
            places.setdefault(warning, []).append(_clock(window.start / SAMPLE_RATE))
    lines = [f"{warning}, at {_some(where)}" for warning, where in places.items()]
    return [*lines, "no_speech: no words were heard"] if heard_nothing else lines


def without_loop(segments: Sequence[Segment]) -> list[Segment]:
    """Return the segments of a window that loops: what is said again and again is said once, the rest stays."""
    spoken = [[_plain(word) for word in each.text.split()] for each in segments]
    again = _said_again([word for words in spoken for word in words])
    made, at = [], 0
    for each, words in zip(segments, spoken, strict=True):
        kept = [place for place in range(len(words)) if at + place not in again]
        at += len(words)
        if kept:
            made.append(each if len(kept) == len(words) else _cut(each, kept))
    return made


def _cut(segment: Segment, places: list[int]) -> Segment:
    """Return a segment that says only the words at these places; its tokens stay what was decoded."""
    words, timed = segment.text.split(), segment.words
    return msgspec.structs.replace(
        segment,
        text=" " + " ".join(words[place] for place in places),
        words=timed and tuple(_within(words, places, timed)),
    )


def _within(words: Sequence[str], places: Iterable[int], timed: Sequence[Word]) -> Iterator[Word]:
    """Yield the timed words that begin within the words at these places.

    They are found by letters: a timed word may be a part of what stands between two spaces, or hold a mark beside it.
    """
    owners = [place for place, word in enumerate(words) for _ in word]
    kept, at = set(places), 0
    for each in timed:
        if at < len(owners) and owners[at] in kept:
            yield each
        at += len("".join(each["word"].split()))


def _loop(words: list[str], segments: Sequence[Segment]) -> str:
    text = " ".join(each.text for each in segments).encode()
    packed = len(text) > _FEW_CHARACTERS and len(text) / len(zlib.compress(text)) > COMPRESSION
    was_cut = any(each.compression_ratio > COMPRESSION for each in segments)
    return "loop: the same words again and again" if packed or was_cut or _said_again(words) else ""


def _said_again(words: Sequence[str]) -> range:
    """Return where some run of words follows itself, LOOP_TIMES sayings in all or more, single words twice as often.

    The first saying is no part of it; an empty range where there is no loop.
    """
    for size in range(1, min(LOOP_NGRAM, len(words) // LOOP_TIMES) + 1):
        wanted = size * (LOOP_TIMES * 2 if size == 1 else LOOP_TIMES) - size
        run = 0
        for at in range(size, len(words) + 1):
            if at < len(words) and words[at] == words[at - size]:
                run += 1
            elif run >= wanted:
                return range(at - run, at)
            else:
                run = 0
    return range(0)


def _phantom(segments: Sequence[Segment]) -> str:
    for each in segments:
        plain = _plain(each.text)
        if any(phrase in plain for phrase in PHANTOMS):
            return "phantom: a phrase that Whisper invents over silence"
    return ""


def _too_fast(words: list[str], segments: Sequence[Segment]) -> str:
    spoken = sum(each.end - each.start for each in segments)
    return (
        "too_fast: more words than anybody says in that time" if len(words) > FASTEST * (spoken + 1) else ""
    )


def _in_silence(segments: Sequence[Segment], clip: Clip) -> str:
    spans = [
        (span.start / SAMPLE_RATE - SLACK_S, span.end / SAMPLE_RATE + SLACK_S) for span in clip.speech or ()
    ]
    for each in segments:
        if not any(start < each.end and each.start < end for start, end in spans):
            return "text_in_silence: words where no voice was found"
    return ""


def _untranscribed(words: list[str], clip: Clip) -> str:
    speech = sum(span.end - span.start for span in clip.speech or ()) / SAMPLE_RATE
    return "untranscribed: a voice, but no words" if not words and speech >= SILENT_SPEECH_S else ""


def _plain(text: str) -> str:
    """Return the text without case, accents and punctuation."""
    letters = "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not _is_mark(each))
    return " ".join(re.sub(r"[^\w]+", " ", letters).split())


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) == "Mn"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _some(places: list[str]) -> str:
    more = len(places) - _LISTED
    return ", ".join(places[:_LISTED]) + (f" and {more} more" if more > 0 else "")
