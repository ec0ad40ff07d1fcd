"""Segments -> txt, srt, vtt, tsv, byte for byte as whisper's own writers (whisper/utils.py) put them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.options import Options

Segments = Sequence[Mapping[str, Any]]  # whisper's: start, end, text, words?, …; times in seconds
Words = list[dict[str, Any]]
Cue = tuple[str, str, str]  # start, end, text

_UNLIMITED = 1000  # whisper's own stand-in for "no limit"
_LONG_PAUSE_S = 3.0
_WORD = re.compile(r"^(\s*)(.*)$")


def render(format_: str, segments: Segments, options: Options) -> str:
    """Return a transcript as `format_`: txt, srt, vtt or tsv."""
    return _WRITERS[format_](segments, options)


def transcript(segments: Segments) -> str:
    """Return the whole text, joined as whisper does."""
    return "".join(segment["text"] for segment in segments)


def rfc3339(seconds: float) -> str:
    """Return seconds since the epoch as an RFC 3339 time in UTC; "" for a time no calendar has."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _txt(segments: Segments, _options: Options) -> str:
    return "".join(f"{segment['text'].strip()}\n" for segment in segments)


def _tsv(segments: Segments, _options: Options) -> str:
    rows = (
        (round(1000 * each["start"]), round(1000 * each["end"]), each["text"].strip().replace("\t", " "))
        for each in segments
    )
    return "start\tend\ttext\n" + "".join(f"{start}\t{end}\t{text}\n" for start, end, text in rows)


def _srt(segments: Segments, options: Options) -> str:
    cues = enumerate(_cues(segments, options, _srt_time), start=1)
    return "".join(f"{number}\n{start} --> {end}\n{text}\n\n" for number, (start, end, text) in cues)


def _vtt(segments: Segments, options: Options) -> str:
    cues = _cues(segments, options, _vtt_time)
    return "WEBVTT\n\n" + "".join(f"{start} --> {end}\n{text}\n\n" for start, end, text in cues)


_WRITERS = {"txt": _txt, "srt": _srt, "vtt": _vtt, "tsv": _tsv}


def _clock(seconds: float) -> tuple[int, int, int, int]:
    whole, milliseconds = divmod(round(seconds * 1000.0), 1000)
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return hours, minutes, whole, milliseconds


def _srt_time(seconds: float) -> str:
    hours, minutes, whole, milliseconds = _clock(seconds)
    return f"{hours:02d}:{minutes:02d}:{whole:02d},{milliseconds:03d}"


def _vtt_time(seconds: float) -> str:
    hours, minutes, whole, milliseconds = _clock(seconds)
    return f"{f'{hours:02d}:' if hours else ''}{minutes:02d}:{whole:02d}.{milliseconds:03d}"


def _cues(segments: Segments, options: Options, time: Callable[[float], str]) -> Iterator[Cue]:
    """Yield subtitles: laid out by words where the first segment has them, else one a segment."""
    if not segments or "words" not in segments[0]:
        for segment in segments:
            yield time(segment["start"]), time(segment["end"]), segment["text"].strip().replace("-->", "->")
        return
    for subtitle in _subtitles(segments, options):
        if options.highlight_words:
            yield from _highlighted(subtitle, time)
        else:
            text = "".join(word["word"] for word in subtitle)
            yield time(subtitle[0]["start"]), time(subtitle[-1]["end"]), text


def _highlighted(subtitle: Words, time: Callable[[float], str]) -> Iterator[Cue]:
    """Yield a subtitle once for each word, underlined while it is spoken, and plain in between."""
    words = [word["word"] for word in subtitle]
    last = time(subtitle[0]["start"])
    for spoken, word in enumerate(subtitle):
        start, end = time(word["start"]), time(word["end"])
        if last != start:
            yield last, start, "".join(words)
        underlined = _WORD.sub(r"\1<u>\2</u>", words[spoken])
        yield start, end, "".join([*words[:spoken], underlined, *words[spoken + 1 :]])
        last = end


def _subtitles(segments: Segments, options: Options) -> Iterator[Words]:
    """Lay words out in lines and subtitles (whisper/utils.py, `iterate_subtitles`).

    Without both a width and a line count, a segment (or `max_words_per_line` of it) begins a new subtitle;
    with both, a subtitle breaks when its lines are full or after a long pause.
    """
    by_segment = options.max_line_count is None or options.max_line_width is None
    width = options.max_line_width or _UNLIMITED
    length, lines = 0, 1
    subtitle: Words = []
    last = _first_start(segments)
    for begins_chunk, word in _chunked(segments, options.max_words_per_line or _UNLIMITED):
        text = word["word"]
        pause = not by_segment and word["start"] - last > _LONG_PAUSE_S
        breaks = begins_chunk and by_segment and bool(subtitle)
        if length > 0 and length + len(text) <= width and not pause and not breaks:
            length += len(text)
        else:
            text = text.strip()
            full = options.max_line_count is not None and (pause or lines >= options.max_line_count)
            if breaks or (subtitle and full):
                yield subtitle
                subtitle, lines = [], 1
            elif length > 0:
                lines += 1
                text = f"\n{text}"
            length = len(text.strip())
        subtitle.append({**word, "word": text})
        last = word["start"]
    if subtitle:
        yield subtitle


def _chunked(segments: Segments, size: int) -> Iterator[tuple[bool, Mapping[str, Any]]]:
    """Yield every word, and whether it begins a chunk of at most `size` words of its segment."""
    for segment in segments:
        for index, word in enumerate(segment.get("words") or ()):
            yield index % size == 0, word


def _first_start(segments: Segments) -> float:
    starts = (word["start"] for segment in segments for word in segment.get("words") or ())
    first: float = next(starts, segments[0]["start"] if segments else 0.0)
    return first
