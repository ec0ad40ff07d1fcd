"""What decoding makes of a file that fails half-way, never ends, or is not all there."""

from __future__ import annotations

import os
import socket
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import (
    CorruptError,
    MediaError,
    NotMediaError,
    OutsideError,
    ReadFailedError,
    TooLongError,
    TooSlowError,
)
from pipeline.stage.decode import decoder as decoding
from pipeline.stage.decode import ffmpeg
from pipeline.stage.decode.decoder import Decoder
from pipeline.stage.decode.source import GIB, Source
from tests.hostile.forge.bombs import flac
from tests.hostile.forge.damage import cut
from tests.hostile.forge.recordings import recording
from tests.hostile.forge.waves import wav


def opened(folder: Path, content: bytes, name: str = "a.wav") -> Source:
    (folder / name).write_bytes(content)
    return Source(os.fsencode(folder), os.fsencode(name))


def run_instead(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have a shell script stand where FFmpeg does."""
    monkeypatch.setattr(decoding, "command", lambda *_: ["sh", "-c", script])


@pytest.mark.parametrize(
    ("script", "error"), [("sleep 60", TooSlowError), ("while :; do :; done", CorruptError)]
)
def test_a_file_that_does_not_come_is_told_from_one_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: type[MediaError]
) -> None:
    """The first may come another time; the second would keep a core busy at each of five attempts."""
    run_instead(monkeypatch, script)
    with opened(tmp_path, wav()) as source, Decoder(source, stall_seconds=0.8) as decoder:
        with pytest.raises(error) as raised:
            list(decoder)
        assert type(raised.value) is error


def test_what_a_crash_of_ffmpeg_left_is_done_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No declared duration would tell that the rest is missing."""
    run_instead(monkeypatch, "head -c 96000 /dev/zero; kill -SEGV $$")
    with opened(tmp_path, b"no header") as source, Decoder(source) as decoder:
        list(decoder)
        assert decoder.warnings() == ["truncated: FFmpeg gave up after 3.0 seconds"]


def test_an_end_amid_a_header_is_no_failure_of_the_disk(tmp_path: Path) -> None:
    """FFmpeg calls both an input/output error; only one of them is worth another attempt."""
    with opened(tmp_path, cut("webm", 0.02)) as source, Decoder(source) as decoder:
        with pytest.raises(NotMediaError):
            list(decoder)
        assert "Input/output error" in " ".join(decoder._log.errors)


def test_a_failure_of_the_disk_is_worth_another_attempt(tmp_path: Path) -> None:
    """The kernel's own EIO: the first page of a process's memory cannot be read."""
    with opened(tmp_path, wav()) as source:
        memory = os.open("/proc/self/mem", os.O_RDONLY)
        os.dup2(memory, source.fd)
        os.close(memory)
        with Decoder(source) as decoder, pytest.raises(ReadFailedError):
            list(decoder)


def test_more_sound_than_a_recording_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes may decode to years of silence."""
    monkeypatch.setattr(decoding, "ANY_FILE", 0)
    monkeypatch.setattr(decoding, "MOST_SAMPLES", 16_000 * 3)
    four_seconds = opened(tmp_path, wav(bytes(16_000 * 8)))
    with (
        four_seconds as source,
        Decoder(source) as decoder,
        pytest.raises(TooLongError, match="than 0 hours"),
    ):
        list(decoder)


def test_a_long_recording_is_no_hole(tmp_path: Path) -> None:
    """One byte in a thousand is enough, wherever it lies."""
    (tmp_path / "a.wav").touch()
    os.truncate(tmp_path / "a.wav", 2 * GIB)
    with (tmp_path / "a.wav").open("r+b") as file:
        file.seek(GIB)
        file.write(bytes(3 << 20))
    with Source(os.fsencode(tmp_path), b"a.wav") as source:
        source.expect(source.fingerprint.size, source.fingerprint.mtime_ns)


def test_cpu_time_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg is stopped by the kernel amid fourteen kilobytes that decode to years, and the file fails for good."""
    monkeypatch.setattr(ffmpeg, "CPU_BASE_S", 1)
    source = opened(tmp_path, flac(100, 1000))
    with (
        source,
        Decoder(source) as decoder,
        pytest.raises(CorruptError, match="more time than any recording"),
    ):
        deque(decoder, maxlen=0)


def test_memory_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into the limit is refused by the kernel, and the file fails for good."""
    monkeypatch.setattr(ffmpeg, "MEMORY_KIB", 300 * 1024)
    with opened(tmp_path, flac(1, 9)) as source, Decoder(source) as decoder:
        with pytest.raises(CorruptError):
            deque(decoder, maxlen=0)
        assert decoder._log.opened
        assert "Cannot allocate memory" in " ".join(decoder._log.errors)


def test_a_file_that_is_a_hole_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A download that was cut off is as long as it will be; hashing a tebibyte takes a quarter of an hour."""
    (tmp_path / "a.wav").write_bytes(recording("wav"))
    os.truncate(tmp_path / "a.wav", 2 * GIB)
    with (
        Source(os.fsencode(tmp_path), b"a.wav") as source,
        pytest.raises(CorruptError, match="never written"),
    ):
        source.expect(source.fingerprint.size, source.fingerprint.mtime_ns)


@pytest.mark.parametrize("channels", [2, 9, 32])
def test_every_channel_is_heard(tmp_path: Path, channels: int) -> None:
    """FFmpeg does not mix nine or 32 tracks of a recorder by itself: it does not know where they belong."""
    pcm = np.zeros((16_000, channels), dtype="<i2")
    pcm[:, -1] = 16_000
    with opened(tmp_path, wav(pcm.tobytes(), channels=channels)) as source, Decoder(source) as decoder:
        mixed = np.concatenate(list(decoder))
    assert np.median(mixed) == pytest.approx(16_000 / channels, rel=0.01)


def test_a_socket_is_not_media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be opened, now or later."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("a.wav")
        with pytest.raises(NotMediaError):
            Source(os.fsencode(tmp_path), b"a.wav")


def test_a_link_that_leaves_has_the_code_that_is_documented(tmp_path: Path) -> None:
    """Whether the scan finds it, or it was put there after."""
    (tmp_path / "a.wav").symlink_to("/etc/hostname")
    with pytest.raises(OutsideError) as raised:
        Source(os.fsencode(tmp_path), b"a.wav")
    assert raised.value.code == "outside_workdir"
