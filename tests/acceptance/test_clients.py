"""What docs/clients.md tells clients to do, done."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from examples.client import Client
from tests.acceptance.harness import ROOT, Service, tone

DOCUMENT = (ROOT / "docs/clients.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with a folder of two recordings."""
    workdir = tmp_path_factory.mktemp("clients") / "workdir"
    for name in ("monday.wav", "a file.wav"):
        tone(workdir / "talks" / name)
    service = Service(workdir, "--engine", "fake", "--quiet_seconds", "1", "--no_watch")
    yield service.start()
    service.stop()


def run(running: Service, folder: Path, *words: str) -> str:
    """Run the client of the examples there; return what it printed."""
    command = [sys.executable, str(ROOT / "examples/client.py"), "--url", running.url, *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_client_submits_follows_and_fetches(running: Service, tmp_path: Path) -> None:
    """The transcripts are those beside the recordings."""
    said = run(running, tmp_path, "submit", "talks")
    assert "completed 100%" in said
    for name in ("monday", "a file"):
        fetched = tmp_path / "transcripts/talks" / f"{name}.wav.txt"
        assert fetched.read_text() == (running.workdir / "talks" / f"{name}.txt").read_text()


def test_the_client_uploads(running: Service, tmp_path: Path) -> None:
    """What lies here only."""
    tone(tmp_path / "tuesday.wav", pitch=500)
    said = run(running, tmp_path, "upload", "sent", "tuesday.wav")
    assert "completed 100%" in said
    assert (tmp_path / "transcripts/sent/tuesday.wav.txt").read_text()


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl and jq are not installed")
def test_the_lines_of_curl_do_what_they_say(running: Service, tmp_path: Path) -> None:
    """All of them, as they stand in the document."""
    lines = re.search(r"## curl\n\n```bash\n(.*?)```", DOCUMENT, re.DOTALL)
    assert lines
    for name in ("monday.wav", "tuesday.wav"):
        tone(tmp_path / name, pitch=600)
    script = "set -euo pipefail\n" + lines[1].replace("http://127.0.0.1:8000", running.url)
    done = subprocess.run(
        ["bash", "-c", script], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert '"task_status":"completed"' in done.stdout
    assert (running.workdir / "talks/a file.txt").read_text() in done.stdout
    assert (running.workdir / "interviews/tuesday.wav").exists()


def test_a_listener_hears_all_of_it_over_a_crash_and_a_restart(tmp_path: Path) -> None:
    """Each event once: who follows need not know that the service died. A stop waits for no listener."""
    tone(tmp_path / "workdir/talks/a.wav")
    service = Service(tmp_path / "workdir", "--engine", "fake", "--quiet_seconds", "3", "--no_watch").start()
    task_id = service.post("talks")
    heard: list[tuple[str, str, str]] = []
    begun = threading.Event()

    def listen() -> None:
        for event, data in Client(service.url).follow(task_id):
            heard.append((event, data.get("status") or data["task_status"], data.get("at", "")))
            begun.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert begun.wait(60)
    service.kill()
    service.start(ready=False)
    listener.join(60)
    with httpx2.stream("GET", f"{service.url}/monitoring/events") as stream:
        lines = stream.iter_lines()
        assert next(lines)
        assert service.stop() == 0
        assert "event" not in "".join(lines)
    events = [each for each in heard if each[0] != "summary"]
    assert len(set(events)) == len(events)
    assert ("file", "done") in [each[:2] for each in events]
    assert events[-1][:2] == ("task", "completed")
    assert heard[-1][:2] == ("summary", "completed")
