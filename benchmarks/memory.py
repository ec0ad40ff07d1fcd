"""Peak memory and processor time for ten minutes and for an hour of speech as one file: they should stay the same.

usage: python benchmarks/memory.py [--minutes 10,60] [-- TRANSCRIBE OPTIONS]

The speech is samples/ over and over. The peaks and the processor time, of all processes together, are the kernel's own:
a look now and then misses moments, and a clock on the wall sees what else the machine does.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import imageio_ffmpeg
import psutil

ROOT = Path(__file__).parents[1]
ROLES = {
    "pipeline.stage.supervise": "supervisor",
    "pipeline.stage.work.worker": "child",
    "ffmpeg": "FFmpeg",
}
EVERY_S = 0.5


def main() -> None:
    """Measure each length and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", default="10,60")
    parser.add_argument("options", nargs="*")
    chosen = parser.parse_args()
    lengths = [int(word) for word in chosen.minutes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        peaks = {minutes: measure(Path(folder), minutes, chosen.options) for minutes in lengths}
    print(f"{'peak RSS, MB':14}" + "".join(f"{minutes:>8} min" for minutes in lengths) + "   ratio")
    for role in ("core", *ROLES.values()):
        row = [peaks[minutes].get(role, 0) / 1e6 for minutes in lengths]
        print(
            f"{role:14}" + "".join(f"{value:12.0f}" for value in row) + f"{row[-1] / max(row[0], 1e-9):8.2f}"
        )


def measure(folder: Path, minutes: int, options: list[str]) -> dict[str, int]:
    """Transcribe so many minutes in one shot; return the peak resident bytes by role."""
    audio = speech(folder / f"{minutes}.wav", minutes * 60)
    command = [
        sys.executable,
        str(ROOT / "app.py"),
        "--state_dir",
        str(folder / "state"),
        "transcribe",
        *options,
    ]
    began, spent = time.monotonic(), processor_s()
    core = psutil.Popen([*command, str(audio)])
    peaks: dict[str, int] = {}
    while core.poll() is None:
        for role, size in sizes(core):
            peaks[role] = max(peaks.get(role, 0), size)
        time.sleep(EVERY_S)
    took = time.monotonic() - began
    print(
        f"{minutes} min: {took:.0f} s, real-time factor {minutes * 60 / took:.1f}, processor seconds a minute of audio "
        f"{(processor_s() - spent) / minutes:.2f}, exit {core.returncode}"
    )
    return peaks


def processor_s() -> float:
    """Return the processor seconds of all processes that were started here, and by them, and have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def sizes(core: psutil.Popen) -> list[tuple[str, int]]:
    """Return role and peak resident bytes of each process."""
    found = []
    for process in [core, *core.children(recursive=True)]:
        try:
            words = " ".join(process.cmdline())
            role = next((role for mark, role in ROLES.items() if mark in words), None)
            role = "core" if process.pid == core.pid else role
            if role:
                found.append((role, peak(process.pid)))
        except (psutil.Error, OSError):
            continue  # it ended meanwhile
    return found


def peak(pid: int) -> int:
    """Return the most bytes that a process has had in memory (proc(5), VmHWM); 0 for one that has just ended."""
    said = re.search(r"^VmHWM:\s*(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return 1024 * int(said[1]) if said else 0


def speech(path: Path, seconds: int) -> Path:
    """Write 16 kHz speech of this length: the samples over and over."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    sources = sorted(each for each in (ROOT / "samples").glob("*/*") if each.suffix in {".flac", ".mp3"})
    raw = b"".join(
        subprocess.run(
            [ffmpeg, "-loglevel", "error", "-i", str(each), "-ac", "1", "-ar", "16000", "-f", "s16le", "-"],
            capture_output=True,
            check=True,
        ).stdout
        for each in sources
    )
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        left = seconds * 32_000
        while left > 0:
            out.writeframes(raw[:left])
            left -= len(raw)
    return path


if __name__ == "__main__":
    main()
