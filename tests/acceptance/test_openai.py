"""OpenAI's audio API of a whole service: its documented examples, a kill, a queue that lies elsewhere."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import openai
import pytest

from tests.acceptance.harness import ROOT, Service, tone, until

DOCUMENT = (ROOT / "docs/openai.md").read_text(encoding="utf-8")


def examples(language: str, url: str) -> str:
    """Return the document's code in a language, for the service at this address."""
    return (
        "\n".join(re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL))
        .replace("http://localhost:8000", url)
        .replace("localhost:8000", url)
    )


def run(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def jobs(service: Service) -> int:
    return sum(stage["jobs"] for stage in service.ask("GET", "/readyz")[1]["stages"])


def test_the_documented_examples_of_the_package_run(service: Callable[..., Service], tmp_path: Path) -> None:
    """As they stand there. The queue lies outside the workdir here, and so does the spool."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    queue = ("--database_url", f"sqlite:///{folder}/queue.db")
    running = service("--no_vad", globals_=queue).start()
    tone(tmp_path / "talk.wav", 40.0)
    told = run(tmp_path, sys.executable, "-c", examples("python", running.url))
    whole, verbose, streamed = told.splitlines()
    assert len(whole.split()) == 8
    assert verbose.startswith("40.0 ")
    assert streamed == whole
    assert list(running.workdir.iterdir()) == []
    assert list((folder / "spool").iterdir()) == []


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_documented_examples_of_curl_run(service: Callable[..., Service], tmp_path: Path) -> None:
    """As they stand there."""
    running = service("--no_vad").start()
    tone(tmp_path / "talk.wav", 40.0)
    lines = examples("bash", running.url).strip().splitlines()
    whole, srt, streamed, translated, models = (run(tmp_path, *line.split()) for line in lines)
    text = json.loads(whole)["text"]
    assert srt.startswith("1\n00:00:00,000 --> ")
    assert f'"type": "transcript.text.done", "text": "{text}"' in streamed
    assert json.loads(translated)["text"] == text
    assert json.loads(models)["data"][0]["id"] == "whisper-1"


def test_what_a_killed_service_left_is_swept_when_it_starts_again(service: Callable[..., Service]) -> None:
    """Its client is gone: nobody transcribes the rest, and nothing of it stays."""
    running = service("--no_vad", env={"WHISPER_FAKE_DELAY": "60"}).start()
    recording = tone(running.workdir.parent / "talk.wav", 90.0).read_bytes()
    head = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    head += b'--x\r\nContent-Disposition: form-data; name="file"; filename="talk.wav"\r\n\r\n'
    client = http.client.HTTPConnection("127.0.0.1", running.port)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    client.request("POST", "/v1/audio/transcriptions", head + recording + b"\r\n--x--\r\n", kind)
    until(lambda: jobs(running) == 1)
    spool = running.workdir / ".whisper" / "spool"
    assert len(list(spool.iterdir())) == 1
    running.kill()
    client.close()
    assert len(list(spool.iterdir())) == 1
    running.start()
    assert list(spool.iterdir()) == []
    assert jobs(running) == 0
    assert running.tasks() == []
    with sqlite3.connect(f"file:{running.workdir}/.whisper/queue.db?mode=ro", uri=True) as queue:
        for table in ("task", "file", "attempt", "checkpoint", "event"):
            assert queue.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608 - our own names


def test_a_service_that_stops_tells_those_who_wait(service: Callable[..., Service]) -> None:
    """At once, with when to come again: not after the time that it takes to stop."""
    running = service("--no_vad", env={"WHISPER_FAKE_DELAY": "4"}).start()
    recording = tone(running.workdir.parent / "talk.wav", 90.0)
    told: list[openai.APIStatusError] = []

    def ask() -> None:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.InternalServerError) as raised:
            client.audio.transcriptions.create(model="whisper-1", file=recording)
        told.append(raised.value)

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: jobs(running) == 1)
    assert running.stop() == 0
    asking.join(30)
    (error,) = told
    assert (error.status_code, error.code) == (503, "unavailable")
    assert error.response.headers["retry-after"]
    assert "the service is stopping" in error.message
