"""FFmpeg as it may be run on hostile files: where it is, how it is called, and what it says on stderr."""

from __future__ import annotations

import os
import re
import shutil
from functools import cache

import imageio_ffmpeg

from pipeline.errors import FFmpegMissingError

# Containers and self-describing codecs that hold recordings. Not here: whatever names other files (concat, hls,
# dash, imf, sdp, playlists), devices, images and their sequences, subtitles, and raw formats without a header,
# which would take any bytes for sound.
DEMUXERS = (
    "3dostr,aa,aac,ac3,ac4,act,aiff,amr,amrnb,amrwb,ape,asf,asf_o,au,avi,avr,avs,caf,codec2,dhav,dsf,dss,dts,dtshd,"
    "dv,eac3,ea,epaf,flac,flv,frm,g729,gxf,hcom,iamf,iff,ilbc,ircam,iv8,ivf,ivr,kux,live_flv,loas,lvf,lxf,"
    "matroska,webm,mlp,mmf,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mtv,mv,mxf,nc,nistsphere,"
    "nsv,nut,nuv,ogg,oma,osq,paf,pva,pvf,qcp,r3d,rka,rm,rso,sbc,sds,shn,siff,smjpeg,smk,sol,sox,spdif,swf,tak,"
    "thp,truehd,tta,ty,vividas,vivo,voc,vqf,w64,wav,wavarc,wsd,wtv,wv,wve,xa,xwma"
)
MEMORY_KIB = 2 * 1024 * 1024
OPEN_FILES = 32
STREAMS = 100
CPU_BASE_S = 600
CPU_BYTES_PER_S = 100_000  # a slow core decodes 8 kbit/s speech at 100 times its speed

# No core dumped, no file written. Soft CPU limit before hard: FFmpeg then ends by itself and says why.
# One ulimit a limit: dash heeds only the last option of a call.
_LIMITED = """
ulimit -c 0; ulimit -f 0; ulimit -n "$1"; ulimit -v "$2"; ulimit -S -t "$3"; ulimit -H -t $(($3 + 5))
shift 3
exec "$@"
"""


@cache
def ffmpeg_binary() -> str:
    """Return the path of the system's ffmpeg, else of the one in imageio-ffmpeg's wheel."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        bundled: str = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise FFmpegMissingError from error
    if not os.access(bundled, os.X_OK):  # IMAGEIO_FFMPEG_EXE may name anything
        raise FFmpegMissingError(f"{bundled} cannot be run")
    return bundled


def command(fd: int, size: int, unmixed: int = 0) -> list[str]:
    """Return the command line that decodes descriptor `fd`, a file of `size` bytes, to 16 kHz mono on stdout.

    `unmixed` is a number of channels that FFmpeg cannot mix into one by itself, not knowing where they belong.

    The file is named by its descriptor: no name can be taken for an option, a pattern or a protocol, and none
    can be exchanged after it was checked. No -map: FFmpeg's choice among audio tracks is the one whisper gets.
    """
    cpu = CPU_BASE_S + size // CPU_BYTES_PER_S
    return [
        *_dies_with_us(),
        *("sh", "-c", _LIMITED, "sh", str(OPEN_FILES), str(MEMORY_KIB), str(cpu)),
        *(
            ffmpeg_binary(),
            "-nostdin",
            "-hide_banner",
            "-nostats",
            "-loglevel",
            "level+info",
            "-threads",
            "1",
        ),
        *("-protocol_whitelist", "file,pipe", "-format_whitelist", DEMUXERS, "-max_streams", str(STREAMS)),
        *("-i", f"file:/dev/fd/{fd}", "-vn", "-sn", "-dn", "-map_metadata", "-1"),
        *("-threads", "1", *_into_one(unmixed), "-ar", "16000", "-f", "s16le", "pipe:1"),
    ]


def _into_one(unmixed: int) -> tuple[str, str]:
    if not unmixed:
        return "-ac", "1"
    return "-af", "pan=mono|c0=" + "+".join(f"{1 / unmixed:.6f}*c{channel}" for channel in range(unmixed))


def _dies_with_us() -> list[str]:
    setpriv = shutil.which("setpriv")  # util-linux; elsewhere a closed pipe ends FFmpeg
    return [setpriv, "--pdeathsig", "KILL", "--no-new-privs"] if setpriv else []


class Log:
    """What FFmpeg wrote to stderr, read line by line; only a few short lines are kept."""

    KEPT_LINE = 500
    _DURATION = re.compile(r"\[info\]   Duration: (\d+):(\d\d):(\d\d\.\d+)")
    _AUDIO = re.compile(r"\[info\]   Stream #0:\d+.*: Audio: ")
    _UNMIXED = re.compile(r".*\[error\] Rematrix is needed between (\d+) channels")
    _VIDEO = re.compile(r"\[info\]   Stream #0:\d+.*: Video: ")

    def __init__(self) -> None:
        self.duration: float | None = None  # declared, seconds
        self.estimated = False  # the duration is a guess from the bit rate
        self.opened = False
        self.tracks = 0  # of audio
        self.has_video = False  # a cover picture is none
        self.unmixed = 0  # channels that FFmpeg does not know how to mix
        self.stopped = False  # by our limit on CPU time
        self.errors: list[str] = []
        self._rest = b""
        self._output = False

    def feed(self, raw: bytes) -> None:
        """Take the next bytes; names and tags inside need not be UTF-8."""
        *lines, rest = (self._rest + raw).split(b"\n")
        self._rest = rest[: self.KEPT_LINE]
        for line in lines:
            self._line(line[: self.KEPT_LINE].decode("utf-8", "backslashreplace"))

    def _line(self, line: str) -> None:
        if line.startswith("[info] Input #0"):
            self.opened = True
        elif line.startswith("[info] Output #0"):
            self._output = True
        elif not self._output and (found := self._DURATION.match(line)):
            hours, minutes, seconds = found.groups()
            self.duration = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        elif not self._output and self._AUDIO.match(line):
            self.tracks += 1
        elif not self._output and self._VIDEO.match(line) and "(attached pic)" not in line:
            self.has_video = True
        elif "Estimating duration from bitrate" in line:
            self.estimated = True
        elif found := self._UNMIXED.match(line):
            self.unmixed = int(found[1])
        elif "received signal" in line:
            self.stopped = True
        elif "[error]" in line or "[fatal]" in line:
            self.errors = [*self.errors[:1], line.rpartition("] ")[2]]
