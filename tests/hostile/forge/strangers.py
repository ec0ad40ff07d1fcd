"""What people and programs call media: documents, pictures, films without sound, failed downloads."""

from __future__ import annotations

import gzip
import io
import struct
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.hostile.forge.case import DONE, EITHER, Case, holding
from tests.hostile.forge.damage import noise
from tests.hostile.forge.recordings import TONE, encoded, recording
from tests.hostile.forge.waves import chunk, wav

PICTURE = ("-f", "lavfi", "-i", "color=size=32x32:duration=2:rate=5")


def cases() -> Iterator[Case]:
    """Yield all of them."""
    yield from _no_sound()
    yield from _no_media()
    yield from _nested()
    yield from _several()


def _no_sound() -> Iterator[Case]:
    for suffix in ("mkv", "mp4", "avi", "ts"):
        yield holding(f"film-without-sound.{suffix}", partial(encoded, suffix, *PICTURE), "no_audio")
    yield holding("cover-only.mp3", cover_only, "corrupt", "not_media", "no_audio")
    yield holding("picture.mp3", partial(encoded, "png", *PICTURE, "-frames:v", "1"), "not_media")
    yield holding("moving-picture.wav", partial(encoded, "gif", *PICTURE), "not_media")
    yield holding("subtitles-only.mkv", subtitles, "no_audio", "not_media")


def _no_media() -> Iterator[Case]:
    for name, content in {
        "random.mp3": noise(200_000),
        "zeros.wav": bytes(200_000),
        "one-byte.flac": b"f",
        "text.mp3": b"Dear diary,\n" * 500,
        "download-failed.mp3": b"<!doctype html><title>404</title><h1>Not found</h1>\n",
        "settings.m4a": b'{"error": {"code": 403}}\n',
        "paper.wav": b"%PDF-1.7\n" + noise(2000),
        "database.wma": b"SQLite format 3\0" + bytes(4080),
        "magic-riff.wav": b"RIFF",
        "magic-ogg.ogg": b"OggS",
        "magic-flac.flac": b"fLaC",
        "magic-id3.mp3": b"ID3",
        "magic-mp4.m4a": b"\0\0\0\x18ftypM4A ",
    }.items():
        yield holding(name, content, "not_media", "corrupt")
    yield Case(
        "program.mp3",
        lambda path: path.write_bytes(Path(sys.executable).read_bytes()[:100_000]),
        ("not_media",),
    )


def _nested() -> Iterator[Case]:
    yield holding("archive.wav", zipped, "not_media")
    yield holding("archive.mp3", tarred, *EITHER)
    yield holding("packed.flac", lambda: gzip.compress(recording("flac"), mtime=0), "not_media")
    yield holding("wave-in-wave.wav", lambda: wav(wav()), DONE)
    yield holding("wave-in-junk.wav", lambda: wav(before=chunk(b"junk", wav())), DONE)
    yield holding("mp3-in-wave.wav", lambda: wav(recording("mp3"), tag=0x55, bits=0, align=1), *EITHER)
    yield holding("list-in-wave.wav", lambda: wav(b"#EXTM3U\n#EXTINF:9,\n/etc/passwd\n" * 99), DONE)
    yield holding("wave-in-tags.mp3", lambda: tagged(wav()) + recording("mp3"), DONE)


def _several() -> Iterator[Case]:
    two = ("-f", "lavfi", "-i", TONE, "-map", "0", "-map", "0", "-map", "0", "-c:a", "flac")
    yield holding("three-tracks.mka", partial(encoded, "mka", *two), DONE)
    chapters = b"CHAP" + struct.pack(">I", 16) + b"\0\0c\0" + b"\xff" * 16
    yield holding("chapters.mp3", lambda: tagged(chapters * 999) + recording("mp3"), DONE)
    late = ("-f", "lavfi", "-i", TONE, "-output_ts_offset", "360000", "-c:a", "mp2")
    yield holding("begins-after-100-hours.ts", partial(encoded, "ts", *late), DONE)
    back = recording("ts")
    yield holding("begins-again.ts", back * 3, *EITHER)


def tagged(content: bytes) -> bytes:
    """Return ID3 tags that hold this."""
    frame = b"PRIV" + struct.pack(">IH", len(content), 0) + content
    return b"ID3\3\0\0" + bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0)) + frame


def cover_only() -> bytes:
    """Return tags with a picture, and no sound after them."""
    picture = b"\0image/png\0\3\0" + encoded("png", *PICTURE, "-frames:v", "1")
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    return b"ID3\3\0\0" + bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0)) + frame


def subtitles() -> bytes:
    """Return a film of words alone."""
    words = "data:text/plain;base64,MQowMDowMDowMCwwMDAgLS0+IDAwOjAwOjA5LDAwMApoZWxsbwo="
    return encoded("mkv", "-f", "srt", "-i", words)


def zipped() -> bytes:
    """Return an archive with a recording in it."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("a.wav", recording("wav"))
    return raw.getvalue()


def tarred() -> bytes:
    """Return an archive with a recording in it, not compressed: its bytes lie there as they are."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        about = tarfile.TarInfo("a.mp3")
        about.size = len(recording("mp3"))
        archive.addfile(about, io.BytesIO(recording("mp3")))
    return raw.getvalue()
