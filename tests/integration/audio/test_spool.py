"""A client's recording goes before all others, and is forgotten when its client has gone."""

import http.client
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from pipeline.spool import spooled_path
from pipeline.tasks import FileState, Fingerprint
from tests.acceptance.harness import tone, until
from tests.integration.audio.bench import Bench, connect

Background = Callable[[Callable[[], object]], threading.Thread]


def form(path: Path) -> tuple[bytes, dict[str, str]]:
    head = (
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    )
    return head + path.read_bytes() + b"\r\n--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


def send(url: str, path: Path) -> http.client.HTTPConnection:
    """Send a recording and do not wait for the answer."""
    body, headers = form(path)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("POST", "/v1/audio/transcriptions", body, headers)
    return connection


def at_work(bench: Bench) -> bool:
    return any(stage.jobs for stage in bench.core.dispatch.stages)


def test_nothing_of_it_is_seen_while_it_is_done_or_after(bench: Bench, url: str, sound: Path) -> None:
    """No task, no file beside it, no event, nothing in a scan."""
    before = bench.core.store.changed_since(0, 100_000)
    waiting = send(url, sound)
    until(lambda: at_work(bench))
    assert len(bench.spooled) == 1
    assert bench.core.store.tasks().rows == ()
    assert bench.core.store.active_dirnames() == {}
    bench.core.rescan_now()
    assert waiting.getresponse().status == 200
    until(lambda: bench.is_clean)
    assert bench.core.store.changed_since(0, 100_000) == before
    assert [path.name for path in bench.workdir.iterdir()] == [".whisper"]


def test_a_client_that_goes_away_cancels_its_work(bench: Bench, url: str, hour: Path) -> None:
    """The stage is free at once, and nothing is left."""
    waiting = send(url, hour)
    until(lambda: at_work(bench))
    waiting.close()
    until(lambda: bench.is_clean)


def test_a_client_that_goes_away_amid_its_upload_leaves_nothing(bench: Bench, url: str, sound: Path) -> None:
    body, headers = form(sound)
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as connection:
        head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(head.encode() + b"\r\n" + body[:1_000_000])
        until(lambda: bench.spooled)
    until(lambda: bench.is_clean)


def test_it_goes_on_while_batch_work_is_paused(bench: Bench, client: openai.OpenAI, sound: Path) -> None:
    """And batch work, which is in the batch already, does not."""
    folder = bench.workdir / "paused"
    tone(folder / "long.wav", 900.0, 200.0)
    task = bench.core.submit("paused", {})
    until(lambda: at_work(bench))
    bench.core.pause()
    until(lambda: bench.core.dispatch.paused)
    try:
        assert client.audio.transcriptions.create(model="whisper-1", file=sound).text
        (file,) = bench.core.store.files(task.id).rows
        assert file.state in (FileState.QUEUED, FileState.LEASED)
        position = file.position
        time.sleep(0.5)
        assert bench.core.store.files(task.id).rows[0].position == position
    finally:
        bench.core.resume()
        bench.core.cancel(task.id)


def test_it_does_not_wait_for_the_batch_that_fills_the_stage(
    bench: Bench, client: openai.OpenAI, sound: Path
) -> None:
    """Long files in every place: its windows are the next, though nobody asked for another job."""
    for number in range(6):
        tone(bench.workdir / "full" / f"{number}.wav", 600.0, 300.0 + number)
    task = bench.core.submit("full", {})
    until(lambda: sum(stage.jobs for stage in bench.core.dispatch.stages) >= 4)
    assert client.audio.transcriptions.create(model="whisper-1", file=sound).text
    assert bench.core.store.tallies([task.id])[task.id].counts.get(FileState.DONE, 0) < 6
    bench.core.cancel(task.id)


def test_it_does_not_wait_for_long_files_of_another_model(
    bench: Bench, client: openai.OpenAI, sound: Path
) -> None:
    """They are given back uncharged, and go on where they were."""
    tone(bench.workdir / "other" / "long.wav", 1200.0, 250.0)
    task = bench.core.submit("other", {})
    until(lambda: at_work(bench))
    assert client.audio.transcriptions.create(model="base.en", file=sound).text
    (file,) = bench.core.store.files(task.id).rows
    assert file.state is not FileState.DONE
    until(lambda: bench.core.store.files(task.id).rows[0].state is FileState.DONE)
    assert bench.core.store.files(task.id).rows[0].attempts == 1


def test_many_wait_at_once_and_hold_no_thread(
    bench: Bench, url: str, sound: Path, in_background: Background
) -> None:
    """Each hears its own recording."""
    heard: list[Any] = []
    before = threading.active_count()

    def ask() -> None:
        heard.append(connect(url).audio.transcriptions.create(model="whisper-1", file=sound).text)

    with bench.at_rest():
        for _ in range(8):
            in_background(ask)
        until(lambda: len(bench.core.dispatch._calls) == 8)
        assert threading.active_count() <= before + 8 + 42  # ours, and the server's pool whatever waits
    until(lambda: len(heard) == 8)
    assert len(set(heard)) == 1


def test_what_an_earlier_life_left_is_swept(bench: Bench) -> None:
    """Files and rows: their clients went with it."""
    spool = bench.workdir / ".whisper" / "spool"
    (spool / "left").write_bytes(b"sound")
    bench.core.store.admit(spooled_path("gone"), Fingerprint(1, 1), {})
    bench.core.spool.step(time.monotonic())
    assert bench.is_clean


def test_a_recording_is_readable_by_its_service_alone(bench: Bench, url: str, hour: Path) -> None:
    waiting = send(url, hour)
    until(lambda: bench.spooled)
    assert (bench.workdir / ".whisper" / "spool").stat().st_mode & 0o077 == 0
    waiting.close()
    until(lambda: bench.is_clean)


@pytest.fixture(autouse=True)
def _nothing_is_left(bench: Bench) -> Any:
    yield
    until(lambda: bench.is_clean)
