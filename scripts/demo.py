"""`make demo`: a fresh service transcribes the sample recordings before your eyes, and leaves nothing behind.

It does what a person would do: start the service, copy folders into its workdir, ask GET /monitoring how far they are,
read the transcripts that lie beside the audio, stop it with SIGTERM.
"""

from __future__ import annotations

import http.client
import itertools
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
FOLDERS = ("english", "french")
START_S = 60.0
WORK_S = 1800.0  # the first run downloads the model's weights
STOP_S = 30.0
ACTIVE = ("pending", "running")
WIDTH = 100
QUOTE: dict[str, Any] = {"initial_indent": "  | ", "subsequent_indent": "  | "}


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


class Service:
    """A service of our own on a workdir of its own and a free port."""

    def __init__(self, workdir: Path, log: Path) -> None:
        self.workdir = workdir
        self._log = log
        command = [sys.executable, "app.py", "--workdir", str(workdir), "start-service", "--port", "0"]
        with log.open("w") as stderr:
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=stderr)  # noqa: S603
        self.url = self._address(time.monotonic() + START_S)

    def _address(self, deadline: float) -> str:
        """Wait for the card that the service leaves beside its queue once it listens."""
        card = self.workdir / ".whisper" / "service.json"
        while time.monotonic() < deadline:
            self.check()
            if card.exists():
                return str(json.loads(card.read_text())["url"])
            time.sleep(0.05)
        raise DemoError(f"the service did not start within {START_S:.0f} s:\n{self.last_words()}")

    def check(self) -> None:
        """Raise DemoError when the service has died."""
        if self._process.poll() is not None:
            raise DemoError(f"the service ended with {self._process.returncode}:\n{self.last_words()}")

    def last_words(self) -> str:
        """Return the end of its log."""
        return textwrap.indent("\n".join(self._log.read_text().splitlines()[-15:]), "    ")

    def ask(self, path: str) -> dict[str, Any]:
        """Return the JSON of a GET; /readyz answers 503 with its reasons, and they are an answer too."""
        self.check()
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310 - our own service
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))
        except (OSError, http.client.HTTPException) as error:
            self._check_its_end()
            raise DemoError(f"the service does not answer ({error}):\n{self.last_words()}") from error

    def _check_its_end(self) -> None:
        """Raise DemoError when it is about to be seen dead: its sockets close before that."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self.check()

    def stop(self) -> int:
        """Send SIGTERM and return the exit code; kill what does not stop in time."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise DemoError(f"the service did not stop within {STOP_S:.0f} s:\n{self.last_words()}") from None

    def end(self) -> None:
        """Leave no process behind, whatever happened."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()


def say(text: str) -> None:
    """Print one line of the story, with the seconds since its beginning."""
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


BEGAN = time.monotonic()


@contextmanager
def fresh_service() -> Iterator[Service]:
    """Run a service on a temporary workdir; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="whisper-demo-") as name:
        workdir = Path(name) / "workdir"
        workdir.mkdir()
        service = Service(workdir, Path(name) / "log")
        try:
            yield service
        finally:
            service.end()


def drop(workdir: Path) -> None:
    """Copy the first folder in while it is watched, move the other in whole; the watcher knows both ways."""
    shutil.copytree(SAMPLES / FOLDERS[0], workdir / FOLDERS[0])
    say(f"copied {FOLDERS[0]}/ into {workdir}")
    for folder in FOLDERS[1:]:
        with tempfile.TemporaryDirectory(dir=workdir.parent) as elsewhere:
            shutil.copytree(SAMPLES / folder, Path(elsewhere) / folder)
            (Path(elsewhere) / folder).rename(workdir / folder)
        rule = (workdir / folder / "whisper.toml").read_text().splitlines()[-1]
        say(f"moved {folder}/ in, whole; its whisper.toml says: {rule}")


class Follower:
    """Polls GET /monitoring until the folders have ended; remembers when each file was first seen in each status."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._told: set[str] = set()
        self._seen: dict[str, dict[str, float]] = {}

    def follow(self) -> list[dict[str, Any]]:
        """Return the ended tasks with their files, telling on the way how far they are."""
        deadline = time.monotonic() + WORK_S
        while time.monotonic() < deadline:
            names = [task["task_id"] for task in self._service.ask("/monitoring")["tasks"]]
            tasks = [self._service.ask(f"/monitoring/{name}") for name in names]
            self._remember(tasks)
            self._tell([*waiting_for(self._service), *map(progress, tasks)])
            if reason := hopeless(self._service):
                raise DemoError(reason)
            if {task["dirname"] for task in tasks if task["task_status"] not in ACTIVE} >= set(FOLDERS):
                return sorted(tasks, key=lambda task: str(task["dirname"]))
            time.sleep(0.1)
        raise DemoError(f"not finished after {WORK_S:.0f} s:\n{self._service.last_words()}")

    def stages(self, path: str) -> str:
        """Return how long a file was seen in each status on its way to the last."""
        seen = self._seen[path]
        spans = zip(seen, itertools.pairwise(seen.values()), strict=False)
        return ", ".join(f"{status} {after - before:.1f} s" for status, (before, after) in spans)

    def _remember(self, tasks: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        for file in itertools.chain.from_iterable(task["files"] for task in tasks):
            self._seen.setdefault(file["path"], {}).setdefault(file["status"], now)

    def _tell(self, lines: list[str]) -> None:
        for line in lines:
            if line not in self._told:
                self._told.add(line)
                say(line)


def waiting_for(service: Service) -> list[str]:
    """Return why the service cannot transcribe yet, one reason a line."""
    return [f"GET /readyz: not yet: {reason}" for reason in service.ask("/readyz").get("reasons", [])]


def hopeless(service: Service) -> str | None:
    """Return why no stage will transcribe anything before somebody helps; None as long as one may."""
    stages = service.ask("/readyz").get("stages", [])
    failed = [stage for stage in stages if stage["phase"] == "failed"]
    return str(failed[0]["detail"]) if stages and len(failed) == len(stages) else None


def progress(task: dict[str, Any]) -> str:
    """Return one line about a task."""
    counts = ", ".join(f"{number} {status}" for status, number in task["counts"].items() if number)
    return f"GET /monitoring: {task['dirname']} is {task['task_status']}, {task['progress']:.0%} ({counts})"


def show(workdir: Path, task: dict[str, Any], follower: Follower) -> None:
    """Print the transcripts of a task as they lie beside the audio, and the time each stage took."""
    worked = seconds(task["started_at"], task["finished_at"])
    print(
        f"\n{task['dirname']}/ is {task['task_status']}: {task['audio_seconds']:.0f} s of audio in {worked:.1f} s"
    )
    for file in task["files"]:
        if file["error"]:
            raise DemoError(f"{file['path']}: {file['error']['message']}")
        text = (workdir / file["path"]).with_suffix(".txt").read_text()
        print(
            f"\n  {file['path']}  ({file['language']}, {file['duration']:.0f} s; {follower.stages(file['path'])})"
        )
        print(textwrap.fill(" ".join(text.split()), WIDTH, **QUOTE))
        print(f"  -> {'  '.join(Path(output).name for output in file['outputs'])}")


def seconds(start: str, end: str) -> float:
    """Return the seconds between two RFC 3339 times."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def main() -> None:
    """Tell the story from start to stop."""
    say("starting: python app.py --workdir <fresh folder> start-service --port 0")
    with fresh_service() as service:
        say(f"the service answers at {service.url}")
        drop(service.workdir)
        follower = Follower(service)
        tasks = follower.follow()
        for task in tasks:
            show(service.workdir, task, follower)
        print()
        code = service.stop()
        say(f"stopped with SIGTERM: exit code {code}")
        if code or any(task["task_status"] != "completed" for task in tasks):
            raise DemoError(f"something went wrong:\n{service.last_words()}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("demo: stopped"))  # as Ctrl-C: tidy up first
    try:
        main()
    except DemoError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit("demo: interrupted")
