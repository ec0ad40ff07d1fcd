"""This project end to end: recordings copied into the workdir of a running service -> the last transcript file."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Cost, Meter, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.workloads import Item

ROOT = Path(__file__).parents[2]
START_S = 300.0
SLOWEST = 2.0  # times as long as the audio
STOP_S = 30.0
LOOK_EVERY_S = 0.05


class Service:
    """A service on a workdir of its own."""

    def __init__(self, workdir: Path, log: Path, threads: int, flags: list[str]) -> None:
        self.workdir = workdir
        self.log = log
        command = [sys.executable, "app.py", "--workdir", str(workdir), "start-service", "--port", "0"]
        command += ["--threads", str(threads), *flags]
        with log.open("w") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=out)

    def wait_until_warm(self, item: Item) -> None:
        """Return once the model is loaded and has transcribed a first file."""
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            self._check(deadline)
            time.sleep(LOOK_EVERY_S)
        self.drop("warm-up", (item,), None)

    def drop(self, name: str, items: tuple[Item, ...], language: str | None) -> list[str]:
        """Copy a folder in; return the transcripts' texts once the last of them is written."""
        folder = self.workdir / name
        folder.mkdir()
        if language:
            (folder / "whisper.toml").write_text(f'language = "{language}"\n')
        copies = [folder / f"{number:03}{item.path.suffix}" for number, item in enumerate(items)]
        for item, copy in zip(items, copies, strict=True):
            shutil.copyfile(item.path, copy)
        transcripts = [copy.with_suffix(".json") for copy in copies]
        self._wait(transcripts, START_S + SLOWEST * sum(item.seconds for item in items))
        return [str(json.loads(path.read_text(encoding="utf-8"))["text"]) for path in transcripts]

    def stop(self) -> None:
        """Send SIGTERM; kill what does not stop in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _is_ready(self) -> bool:
        card = self.workdir / ".whisper" / "service.json"
        if not card.exists():
            return False
        url = json.loads(card.read_text())["url"]
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:  # noqa: S310 - our own service
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False

    def _wait(self, transcripts: list[Path], seconds: float) -> None:
        """Wait for the JSON of each file: it is written last."""
        deadline = time.monotonic() + seconds
        missing = transcripts
        while missing := [path for path in missing if not path.exists()]:
            self._check(deadline)
            time.sleep(LOOK_EVERY_S)

    def _check(self, deadline: float) -> None:
        ended = self.process.poll()
        if ended is not None or time.monotonic() > deadline:
            raise RunError(f"the service (exit code {ended}): {self.log.read_text()[-2000:]}")


@contextmanager
def running(threads: int, flags: list[str]) -> Iterator[Service]:
    """Run a service on a temporary workdir; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="whisper-bench-") as name:
        workdir = Path(name) / "workdir"
        workdir.mkdir()
        service = Service(workdir, Path(name) / "log", threads, flags)
        try:
            yield service
        finally:
            service.stop()


def measure(
    items: tuple[Item, ...], language: str | None, warm_up: Item, threads: int, flags: list[str]
) -> tuple[Cost, dict[str, str]]:
    """Return what it cost from the drop to the last file, and the texts by path."""
    with running(threads, flags) as service, Meter(service.process.pid) as meter:
        service.wait_until_warm(warm_up)
        meter.start()
        texts = service.drop("recordings", items, language)
        cost = meter.stop()
    return cost, {str(item.path): text for item, text in zip(items, texts, strict=True)}
