"""Tells whether the text of a recording is always the same, whatever runs beside it and whatever dies meanwhile.

usage: python -m benchmarks.sameness [--runs 20] FOLDER [-- TRANSCRIBE OPTIONS]

Each run is a new process over the folder's recordings in another order, as numbers before their names shuffle the
queue; in every other run the transcriber is killed once on the way. The files written are compared byte for byte, of
the JSON all but the provenance, which holds times. Exit 1 where any differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil

from pipeline.options import FORMATS

ROOT = Path(__file__).parents[1]
CHILD = "pipeline.stage.work.worker"
WORK_S = (1.0, 8.0)  # that a transcriber is given before it is killed
LOOK_S = 0.1


def main() -> int:
    """Run, compare and say what differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("options", nargs="*")
    chosen = parser.parse_args()
    seen: dict[str, set[str]] = defaultdict(set)
    for run in range(chosen.runs):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            written, killed = transcribed(chosen.folder, Path(folder), random.Random(run), chosen.options)  # noqa: S311
        for name, digest in written.items():
            seen[name].add(digest)
        how = "transcriber killed once" if killed else "undisturbed"
        print(f"run {run + 1}: {len(written)} files, {how}, {time.monotonic() - began:.0f} s", flush=True)
    differing = sorted(name for name, digests in seen.items() if len(digests) > 1)
    print(f"{len(seen)} files over {chosen.runs} runs: {len(differing)} differ", *differing, sep="\n  ")
    return bool(differing)


def transcribed(
    source: Path, folder: Path, chance: random.Random, options: list[str]
) -> tuple[dict[str, str], bool]:
    """Transcribe in one run; return the digest of each file written, and whether a transcriber was killed."""
    recordings = sorted(each for each in source.iterdir() if each.is_file())
    workdir = folder / "recordings"
    workdir.mkdir()
    for number, recording in enumerate(chance.sample(recordings, len(recordings))):
        (workdir / f"{number:04} {recording.name}").write_bytes(recording.read_bytes())
    command = [sys.executable, ROOT / "app.py", "--state_dir", folder / "state", "transcribe"]
    with subprocess.Popen(
        [*command, *options, workdir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as program:
        killed = chance.random() < 0.5 and kill_child(program, chance.uniform(*WORK_S))
    if program.returncode:
        raise SystemExit(f"the run in {workdir} ended with {program.returncode}")
    outputs = [path for path in workdir.glob("[0-9]*") if path.suffix.lstrip(".") in FORMATS]
    return {path.name.partition(" ")[2]: digest(path) for path in outputs}, killed


def kill_child(program: subprocess.Popen[bytes], after_s: float) -> bool:
    """Kill the transcriber some seconds after its birth; False where all was done by then."""
    born: float | None = None
    while program.poll() is None:
        children = [each for each in psutil.Process(program.pid).children(recursive=True) if is_child(each)]
        born = born or (time.monotonic() if children else None)
        if children and born and time.monotonic() - born > after_s:
            children[0].kill()
            return True
        time.sleep(LOOK_S)
    return False


def is_child(process: psutil.Process) -> bool:
    """Tell whether a process is a transcriber."""
    try:
        return CHILD in process.cmdline()
    except psutil.Error:
        return False


def digest(path: Path) -> str:
    """Return the SHA-256 of a transcript, of a JSON without its provenance."""
    content = path.read_bytes()
    if path.suffix == ".json":
        kept = {name: value for name, value in json.loads(content).items() if name != "provenance"}
        content = json.dumps(kept, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
