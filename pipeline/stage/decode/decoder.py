"""One media file -> 16 kHz mono samples, streamed out of a contained FFmpeg process."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from pipeline.errors import (
    CorruptError,
    MediaError,
    NoAudioError,
    NotMediaError,
    ReadFailedError,
    TooLongError,
    TooSlowError,
    UnreadableError,
)
from pipeline.stage.decode.declared import ogg_is_cut, wav_seconds
from pipeline.stage.decode.ffmpeg import Log, command
from pipeline.stage.transcribe.engine import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pipeline.stage.decode.source import Source

HOUR = 3600 * SAMPLE_RATE
MOST_SAMPLES = 1000 * HOUR
ANY_FILE = 24 * HOUR  # and a second more for each byte: silence that is coded well takes no more
STALL_SECONDS = 45.0  # without a byte while we read; less than the supervisor waits for progress
BLOCK_BYTES = 2 * SAMPLE_RATE * 2  # two seconds of s16
_READ = 1 << 16
_KILLED = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
_SAID = {
    "Permission denied": UnreadableError,
    "Stale file handle": ReadFailedError,
    "moov atom not found": CorruptError,  # a recorder that died before it wrote the index
    "Cannot allocate memory": CorruptError,  # our limit: no recording needs so much
}
_DOUBTFUL = "Input/output error"  # said of a file that cannot be read, and of one that ends amid a header


class Decoder:
    """FFmpeg at work on one open source; iterate for blocks of s16 samples, then ask `warnings()`."""

    def __init__(self, source: Source, stall_seconds: float = STALL_SECONDS) -> None:
        self._source = source
        self._stall_seconds = stall_seconds
        self._most = min(MOST_SAMPLES, ANY_FILE + source.fingerprint.size * SAMPLE_RATE)
        self._returncode = 0
        self.samples = 0
        self._begin()

    def _begin(self, unmixed: int = 0) -> None:
        self._log = Log()
        self._process = subprocess.Popen(  # noqa: S603 - no shell sees a name: the file is a descriptor
            command(self._source.fd, self._source.fingerprint.size, unmixed),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(self._source.fd,),
            cwd="/",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    @property
    def duration(self) -> float | None:
        """Seconds that the file declares, once FFmpeg has opened it."""
        return wav_seconds(self._source.fd) or self._log.duration

    def __iter__(self) -> Iterator[NDArray[np.int16]]:
        """Yield blocks of about two seconds; raise the MediaError that says why there are none."""
        yield from self._blocks()
        if not self.samples and self._begins_again():
            yield from self._blocks()
        self._returncode = self._process.wait()
        self._judge()

    def _begins_again(self) -> bool:
        """Begin again where another attempt may help: with channels mixed as we say, or with what could not be read."""
        unmixed = self._log.unmixed
        if not unmixed:
            if _DOUBTFUL not in " ".join(self._log.errors):
                return False
            self._source.sha256(lambda: False)  # raises ReadFailedError where it is true
        self._end()
        self._begin(unmixed)
        return True

    def _blocks(self) -> Iterator[NDArray[np.int16]]:
        held = bytearray()
        for raw in self._output():
            held += raw
            if len(held) >= BLOCK_BYTES:
                yield self._block(held)
        if len(held) > 1:
            yield self._block(held)

    def warnings(self) -> list[str]:
        """Return what a listener should know, once all is decoded: truncated, several tracks."""
        found = []
        decoded, declared = self.samples / SAMPLE_RATE, self._declared()
        if declared and decoded < declared - max(1.0, declared / 100):
            found.append(f"truncated: {decoded:.1f} of {declared:.1f} seconds could be decoded")
        elif ogg_is_cut(self._source.fd, self._source.fingerprint.size):
            found.append(f"truncated: the file ends early, after {decoded:.1f} seconds")
        elif self._returncode:
            found.append(f"truncated: FFmpeg gave up after {decoded:.1f} seconds")
        if self._log.tracks > 1:
            found.append(f"several_tracks: one of {self._log.tracks} audio tracks was transcribed")
        return found

    def _declared(self) -> float | None:
        """Return what decoded audio can be measured by: no guesses, no film whose sound ends before its picture."""
        said = self._log
        trusted = not said.estimated and (not said.has_video or said.errors)
        return wav_seconds(self._source.fd) or (said.duration if trusted else None)

    def _block(self, held: bytearray) -> NDArray[np.int16]:
        even = len(held) & ~1
        block = np.frombuffer(bytes(held[:even]), dtype="<i2")
        del held[:even]
        self.samples += len(block)
        if self.samples > self._most:
            hours, size = self._most // HOUR, self._source.fingerprint.size
            raise TooLongError(f"{self._source.name}: more than {hours} hours of sound in {size} bytes")
        return block

    def _output(self) -> Iterator[bytes]:
        stdout, stderr = self._process.stdout, self._process.stderr
        assert stdout and stderr, "both are pipes"  # noqa: PT018, S101 - invariant
        with selectors.DefaultSelector() as ready:
            ready.register(stdout, selectors.EVENT_READ)
            ready.register(stderr, selectors.EVENT_READ)
            while ready.get_map():
                for key in self._ready(ready):
                    raw = os.read(key.fd, _READ)
                    if not raw:
                        ready.unregister(key.fileobj)
                    elif key.fileobj is stderr:
                        self._log.feed(raw)
                    else:
                        yield raw

    def _ready(self, pipes: selectors.BaseSelector) -> list[selectors.SelectorKey]:
        """Wait for output; where there is none for long, tell a file that does not come from one without end."""
        half = self._stall_seconds / 2
        if events := pipes.select(half):
            return [key for key, _ in events]
        began = _cpu_seconds(self._process.pid)
        if events := pipes.select(half):
            return [key for key, _ in events]
        if _cpu_seconds(self._process.pid) - began > half / 10:  # a machine may be busy with more
            raise CorruptError(
                f"{self._source.name}: FFmpeg was busy with it for long and made nothing of it"
            )
        raise TooSlowError(self._source.name)

    def _judge(self) -> None:
        if self._returncode in _KILLED:
            raise ReadFailedError(f"{self._source.name}: FFmpeg was killed")
        if self._log.stopped:
            raise CorruptError(f"{self._source.name}: decoding took more time than any recording of its size")
        if not self.samples:
            raise self._why_nothing()

    def _why_nothing(self) -> MediaError:
        said = " ".join(self._log.errors)
        for words, error in _SAID.items():
            if words in said:
                return error(self._source.name)
        if not self._log.opened:
            return NotMediaError(self._source.name)
        return CorruptError(self._source.name) if self._log.tracks else NoAudioError(self._source.name)


def _cpu_seconds(pid: int) -> float:
    """Return how long a process has computed (proc(5), /proc/PID/stat); 0 where the system does not tell."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
