"""Whole recordings to be damaged: six seconds of a rising tone in noise, encoded by FFmpeg."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

from pipeline.stage.decode.ffmpeg import ffmpeg_binary

SECONDS = 6
TONE = f"aevalsrc=0.4*sin(2*PI*(200+40*t)*t)+0.02*random(0):s=16000:d={SECONDS}"
_EXACT = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact")
ENCODED: dict[str, tuple[str, ...]] = {
    "wav": (),
    "w64": (),
    "aiff": (),
    "au": (),
    "caf": (),
    "flac": (),
    "mp3": ("-b:a", "32k"),
    "mp2": ("-b:a", "32k"),
    "m4a": ("-c:a", "aac", "-b:a", "32k"),
    "mov": ("-c:a", "pcm_s16le"),
    "aac": ("-c:a", "aac", "-b:a", "32k"),
    "ogg": ("-c:a", "libvorbis"),
    "opus": ("-c:a", "libopus", "-b:a", "24k"),
    "mka": ("-c:a", "flac"),
    "webm": ("-c:a", "libopus", "-b:a", "24k"),
    "wma": ("-c:a", "wmav2"),
    "avi": ("-c:a", "pcm_s16le"),
    "ts": ("-c:a", "mp2"),
    "ac3": ("-c:a", "ac3", "-b:a", "64k"),
    "wv": ("-c:a", "wavpack"),
    "tta": ("-c:a", "tta"),
    "amr": ("-c:a", "libopencore_amrnb", "-ar", "8000"),
    "nut": ("-c:a", "pcm_s16le"),
}


class CannotMakeError(Exception):
    """This machine cannot make the file."""


@cache
def recording(suffix: str) -> bytes:
    """Return the recording in the form that this suffix stands for."""
    return encoded(suffix, "-f", "lavfi", "-i", TONE, *ENCODED[suffix], *_EXACT)


def encoded(suffix: str, *arguments: str) -> bytes:
    """Return what FFmpeg makes of these arguments. Raises CannotMakeError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"made.{suffix}"
        command = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y", *arguments, str(path)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise CannotMakeError(f"this FFmpeg makes no {suffix}: {made.stderr.strip()}")
        return path.read_bytes()
