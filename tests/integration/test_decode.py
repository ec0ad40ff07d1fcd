"""FFmpeg decodes what is media, says what is wrong with what is not, and reads nothing else."""

import hashlib
import os
import subprocess
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import (
    BadPathError,
    ChangedError,
    CorruptError,
    EmptyFileError,
    GoneError,
    NoAudioError,
    NotMediaError,
    TooSlowError,
    UnreadableError,
)
from pipeline.stage.decode.decoder import Decoder
from pipeline.stage.decode.ffmpeg import Log, command, ffmpeg_binary
from pipeline.stage.decode.source import Source

RATE = 16_000


def write_wav(path: Any, seconds: float = 2.0, amplitude: int = 8000) -> Any:
    """Write a noise of this length, so that every sample is known."""
    pcm = np.random.default_rng(1).integers(-amplitude, amplitude, int(seconds * RATE), dtype=np.int16)
    with wave.open(os.fsdecode(path), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(pcm.tobytes())
    return pcm


def ffmpeg(*arguments: Any) -> None:
    subprocess.run([ffmpeg_binary(), "-y", "-loglevel", "error", *map(os.fspath, arguments)], check=True)


def decode(root: Path, name: Any) -> Any:
    """Return samples, declared duration and warnings of one file."""
    with Source(os.fsencode(root), os.fsencode(name)) as source:
        status = (Path(os.fsdecode(root)) / os.fsdecode(name)).stat()
        source.expect(status.st_size, status.st_mtime_ns)
        with Decoder(source) as decoder:
            blocks = list(decoder)
            source.confirm()
            return np.concatenate(blocks), decoder.duration, decoder.warnings()


def cut_short(path: Any, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def test_samples_come_through_unchanged(tmp_path: Path) -> None:
    """A 16 kHz mono WAV decodes to the samples it was written with."""
    written = write_wav(tmp_path / "a.wav", 5.3)
    pcm, duration, warnings = decode(tmp_path, "a.wav")
    assert np.array_equal(written, pcm)
    assert duration == pytest.approx(5.3)
    assert warnings == []


@pytest.mark.parametrize(
    "name",
    [
        b"caf\xe9.wav",
        b"new\nline.wav",
        b"-i.wav",
        b"%03d.wav",
        b"concat:a.wav",
        b"x" * 251 + b".wav",
        b"no-suffix",
    ],
)
def test_any_name_decodes(tmp_path: Path, name: Any) -> None:
    """A name is never an option, a pattern, a protocol or text."""
    written = write_wav(os.fsencode(tmp_path) + b"/" + name)
    assert np.array_equal(written, decode(tmp_path, name)[0])


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "wav", "mkv"])
def test_a_cut_file_is_decoded_with_a_warning(tmp_path: Path, suffix: str) -> None:
    """FFmpeg exits 0 on cut files; the warning says how much there was."""
    write_wav(tmp_path / "whole.wav", 20)
    ffmpeg("-i", tmp_path / "whole.wav", tmp_path / f"cut.{suffix}")
    assert decode(tmp_path, f"cut.{suffix}")[2] == []
    cut_short(tmp_path / f"cut.{suffix}", 0.6)
    pcm, _, warnings = decode(tmp_path, f"cut.{suffix}")
    assert 8 < len(pcm) / RATE < 16
    assert warnings[0].startswith("truncated: ")


def test_a_film_whose_sound_ends_early_is_whole(tmp_path: Path) -> None:
    """The declared duration of a video may be that of its picture."""
    write_wav(tmp_path / "a.wav", 3)
    ffmpeg(
        "-f", "lavfi", "-i", "color=size=32x32:duration=9", "-i", tmp_path / "a.wav", tmp_path / "film.mkv"
    )
    assert decode(tmp_path, "film.mkv")[2] == []


def test_several_tracks_are_told(tmp_path: Path) -> None:
    """One of two audio tracks is transcribed, and the warning says so."""
    write_wav(tmp_path / "a.wav")
    ffmpeg("-i", tmp_path / "a.wav", "-i", tmp_path / "a.wav", "-map", "0", "-map", "1", tmp_path / "two.mka")
    assert decode(tmp_path, "two.mka")[2] == ["several_tracks: one of 2 audio tracks was transcribed"]


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    """Zero bytes are their own error, before FFmpeg is started."""
    (tmp_path / "a.wav").touch()
    with pytest.raises(EmptyFileError, match=r"a\.wav"):
        decode(tmp_path, "a.wav")


@pytest.mark.parametrize(
    "content",
    [
        np.random.default_rng(1).bytes(200_000),
        b"Dear diary,\n" * 500,
        b"%PDF-1.7\n" + bytes(2000),
        bytes(5000),
    ],
    ids=["random", "text", "pdf", "zeros"],
)
def test_what_is_not_media_is_refused(tmp_path: Path, content: bytes) -> None:
    """Content decides, whatever the name says."""
    (tmp_path / "a.mp3").write_bytes(content)
    with pytest.raises(NotMediaError, match=r"a\.mp3"):
        decode(tmp_path, "a.mp3")


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile 'secret.ts'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    ],
    ids=["ffconcat", "hls", "sdp"],
)
def test_a_list_named_wav_reads_no_other_file(tmp_path: Path, text: str) -> None:
    """Demuxers that open other files or sockets are not on the list: they are not even opened."""
    write_wav(tmp_path / "a.wav")
    ffmpeg("-i", tmp_path / "a.wav", tmp_path / "secret.ts")
    (tmp_path / "list.wav").write_text(text.format(secret=tmp_path / "secret.ts"))
    with Source(os.fsencode(tmp_path), b"list.wav") as source, Decoder(source) as decoder:
        with pytest.raises(NotMediaError):
            list(decoder)
        # the second: newer versions take no nameless file for HLS at all
        assert decoder._log.errors[0].startswith(("Format not on whitelist", "Not detecting m3u8/hls"))


def test_a_video_without_sound_has_no_audio(tmp_path: Path) -> None:
    """A picture alone is media, but nothing to transcribe."""
    ffmpeg("-f", "lavfi", "-i", "color=size=32x32:duration=1", tmp_path / "silent.mkv")
    with pytest.raises(NoAudioError):
        decode(tmp_path, "silent.mkv")


def test_a_container_without_its_index_is_corrupt(tmp_path: Path) -> None:
    """An M4A whose recorder died before it wrote the index holds no decodable audio."""
    write_wav(tmp_path / "a.wav", 20)
    ffmpeg("-i", tmp_path / "a.wav", tmp_path / "a.m4a")
    cut_short(tmp_path / "a.m4a", 0.6)
    with pytest.raises(CorruptError):
        decode(tmp_path, "a.m4a")


def test_a_missing_file_is_gone(tmp_path: Path) -> None:
    """A file or its directory may go before its turn."""
    with pytest.raises(GoneError):
        Source(os.fsencode(tmp_path), b"no/such.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_read_permission_is_unreadable(tmp_path: Path) -> None:
    """Permission denied is an error that heals."""
    write_wav(tmp_path / "a.wav")
    (tmp_path / "a.wav").chmod(0)
    with pytest.raises(UnreadableError):
        Source(os.fsencode(tmp_path), b"a.wav")


def test_errors_of_the_system_are_told_apart(tmp_path: Path) -> None:
    """Permission, I/O and removal each have their class."""
    write_wav(tmp_path / "a.wav")
    with Source(os.fsencode(tmp_path), b"a.wav") as source:
        codes = [source.explain(OSError(number, "x")).code for number in (13, 5, 116, 2)]
    assert codes == ["unreadable", "read_failed", "read_failed", "gone"]


def test_a_symlink_inside_is_followed_and_one_that_leaves_is_refused(tmp_path: Path) -> None:
    """The content must lie below the workdir."""
    root = tmp_path / "workdir"
    root.mkdir()
    written = write_wav(root / "a.wav")
    write_wav(tmp_path / "outside.wav")
    (root / "inside.wav").symlink_to("a.wav")
    (root / "leaves.wav").symlink_to(tmp_path / "outside.wav")
    (root / "up").symlink_to(tmp_path)
    assert np.array_equal(written, decode(root, "inside.wav")[0])
    for name in (b"leaves.wav", b"up/outside.wav", b"../outside.wav"):
        with pytest.raises(BadPathError):
            Source(os.fsencode(root), name)


def test_a_fifo_is_not_media(tmp_path: Path) -> None:
    """Opening what is no regular file neither waits nor reads."""
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(NotMediaError):
        Source(os.fsencode(tmp_path), b"a.wav")


def test_another_version_than_the_queued_one_has_changed(tmp_path: Path) -> None:
    """Size and mtime are compared when the file is opened."""
    write_wav(tmp_path / "a.wav")
    with Source(os.fsencode(tmp_path), b"a.wav") as source, pytest.raises(ChangedError):
        source.expect(source.fingerprint.size, source.fingerprint.mtime_ns - 1)


@pytest.mark.parametrize("how", ["appended", "replaced"])
def test_a_file_changed_while_decoded_has_changed(tmp_path: Path, how: str) -> None:
    """The fingerprint is taken again at the end, of the descriptor and of the path."""
    path = tmp_path / "a.wav"
    write_wav(path)
    with Source(os.fsencode(tmp_path), b"a.wav") as source:
        if how == "appended":
            path.write_bytes(path.read_bytes() + b"more")
        else:
            write_wav(tmp_path / "new", 3)
            (tmp_path / "new").rename(path)
        with pytest.raises(ChangedError):
            source.confirm()


def test_a_file_removed_while_decoded_is_gone(tmp_path: Path) -> None:
    """Its directory may be taken away meanwhile."""
    write_wav(tmp_path / "a.wav")
    with Source(os.fsencode(tmp_path), b"a.wav") as source:
        (tmp_path / "a.wav").unlink()
        with pytest.raises(GoneError):
            source.confirm()


def test_the_hash_is_the_contents(tmp_path: Path) -> None:
    """SHA-256 over all bytes, read in blocks."""
    (tmp_path / "a.bin").write_bytes(bytes(3_000_000))
    with Source(os.fsencode(tmp_path), b"a.bin") as source:
        assert source.sha256(lambda: False) == hashlib.sha256(bytes(3_000_000)).hexdigest()


def test_a_decoder_that_says_nothing_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stall is noticed by time without a byte, and the process is gone afterwards."""
    monkeypatch.setattr("pipeline.stage.decode.decoder.command", lambda *_: ["sleep", "60"])
    write_wav(tmp_path / "a.wav")
    with Source(os.fsencode(tmp_path), b"a.wav") as source:
        with pytest.raises(TooSlowError), Decoder(source, stall_seconds=0.05) as decoder:
            list(decoder)
        assert decoder._process.returncode == -9


def test_infinite_and_missing_values_become_samples(tmp_path: Path) -> None:
    """A float WAV that holds NaN and infinity decodes to plain numbers."""
    values = np.array([np.nan, np.inf, -np.inf, 0.5] * 8000, dtype="<f4").tobytes()
    header = b"RIFF" + (36 + len(values)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    header += (
        b"\x03\0\x01\0" + RATE.to_bytes(4, "little") + (4 * RATE).to_bytes(4, "little") + b"\x04\0\x20\0"
    )
    (tmp_path / "a.wav").write_bytes(header + b"data" + len(values).to_bytes(4, "little") + values)
    assert len(decode(tmp_path, "a.wav")[0]) == 32000


def test_ffmpeg_is_limited() -> None:
    """Memory, CPU time, open files, core dumps and written files have limits in the process itself."""
    line = command(0, 1_000_000)
    at = line.index(ffmpeg_binary())
    ask = [*line[:at], "sh", "-c", "for limit in c f n v t; do ulimit -$limit; done"]
    shown = subprocess.run(ask, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["0", "0", "32", str(2 * 1024 * 1024), "610"]


def test_tags_cannot_pretend_a_duration() -> None:
    """Only FFmpeg's own lines count, not what a tag says; bytes need not be UTF-8."""
    log = Log()
    log.feed(
        b"[info] Input #0, mp3, from 'x':\n[info]   Metadata:\n[info]     title : Duration: 99:00:00.00\xff\n"
    )
    assert log.duration is None
    log.feed(b"[info]   Duration: 01:00:02.50, start: 0.0\n")
    assert log.duration == 3602.5


def test_endless_complaints_are_not_kept() -> None:
    """The log is bounded, whatever a broken file makes FFmpeg say."""
    log = Log()
    for _ in range(1000):
        log.feed(b"[error] " + b"x" * 10_000)
    log.feed(b"\n" + b"[error] again\n" * 1000)
    assert sum(map(len, log.errors)) < 2000
    assert len(log._rest) <= Log.KEPT_LINE
