"""Uploads to a real service: transcribed, killed in the middle, and far too large."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.acceptance.harness import Service, tone, until

MIB = 1 << 20
LIMIT = 64 * MIB
SENT = 256 * MIB
HEAD = (
    b"POST /transcription/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: multipart/form-data; boundary=edge\r\n\r\n"
)
FORM = (
    b'--edge\r\nContent-Disposition: form-data; name="dirname"\r\n\r\ntalks\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
)
END = b"\r\n--edge--\r\n"


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=30)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def answered(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read())


def visible(workdir: Path) -> list[str]:
    return [path.name for path in workdir.iterdir() if not path.name.startswith(".")]


def hidden(workdir: Path) -> list[Path]:
    return list((workdir / ".whisper/uploads").iterdir())


def test_what_is_sent_is_transcribed_at_once(service: Callable[..., Service], tmp_path: Path) -> None:
    """The quiet time is for files that somebody may still write; these are whole."""
    running = service("--quiet_seconds", "60").start()
    with connect(running) as connection:
        sound = tone(tmp_path / "a.wav").read_bytes()
        connection.sendall(HEAD + chunk(FORM) + chunk(sound) + chunk(END) + b"0\r\n\r\n")
        status, said = answered(connection)
    assert status == 200, said
    until(lambda: running.task(said["task_id"])["counts"].get("done"))
    assert (running.workdir / "talks/a.json").exists()
    assert [task["source"] for task in running.tasks("talks")] == ["api"]


def test_a_kill_amid_an_upload_leaves_nothing(service: Callable[..., Service]) -> None:
    """Nothing anybody sees, and the next start sweeps what is hidden."""
    running = service().start(ready=False)
    with connect(running) as connection:
        connection.sendall(HEAD + chunk(FORM) + chunk(bytes(MIB)))
        until(lambda: any(path.stat().st_size for path in running.workdir.rglob("a.wav")))
        running.kill()
    assert visible(running.workdir) == []
    assert len(hidden(running.workdir)) == 1
    running.start(ready=False)
    until(lambda: hidden(running.workdir) == [])
    assert visible(running.workdir) == []


def test_an_endless_body_is_refused_in_little_memory(service: Callable[..., Service]) -> None:
    """Chunked, so that nobody knows its length before; what was stored of it is gone."""
    running = service("--max_upload_bytes", str(LIMIT)).start()
    core = running.find("core")
    before = core.memory_info().rss
    with connect(running) as connection:
        peak = max(_peaks_while_sending(connection, core))
        status, said = answered(connection)
    assert (status, said["code"]) == (413, "too_large")
    assert peak - before < 32 * MIB
    assert visible(running.workdir) == []
    until(lambda: hidden(running.workdir) == [])


def _peaks_while_sending(connection: socket.socket, core: psutil.Process) -> Iterator[int]:
    connection.sendall(HEAD + chunk(FORM))
    piece = chunk(bytes(MIB))
    for number in range(SENT // MIB):
        connection.sendall(piece)
        if number % 8 == 0:
            yield core.memory_info().rss
