"""Clients that take more than their share, over real sockets: too slow, too many, idle, endless."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from api import connections, limits
from api.app import create_app
from api.connections import Connection
from api.service import Core
from pipeline.settings import Settings

POST = b"POST /transcription HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    core = Core(Settings(workdir=tmp_path_factory.mktemp("workdir")))
    yield core
    core.close()


@pytest.fixture(scope="module")
def port(core: Core) -> Iterator[int]:
    app = create_app(core, root_path="/")
    server = uvicorn.Server(
        uvicorn.Config(app, http=Connection, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(10)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def ask(port: int, path: str = "/healthz") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def drip(connection: socket.socket, data: bytes, seconds: float) -> float:
    """Send a byte again and again until the other side closes; return after how long it did."""
    began = time.monotonic()
    connection.settimeout(seconds)
    for _ in range(200):
        try:
            connection.sendall(data)
            if not connection.recv(1):
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return time.monotonic() - began


def test_a_connection_that_never_asks_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence costs a connection, not for ever."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    with connect(port) as connection:
        began = time.monotonic()
        assert connection.recv(1) == b""
        assert 0.2 < time.monotonic() - began < 3


def test_a_head_that_drips_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow-loris: each byte would keep uvicorn waiting for the next."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.4)
    with connect(port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ")
        assert drip(connection, b"x", 0.05) < 3


def test_a_second_head_that_drips_is_cut_off_too(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an answer as before the first."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.4)
    with connect(port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert drip(connection, b"x", 0.05) < 3


def test_a_body_that_is_refused_is_not_read_for_ever(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after the answer is thrown away, and soon the line is closed."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.4)
    with connect(port) as connection:
        connection.sendall(b"POST /rescan HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert drip(connection, b"x", 0.05) < 3


def test_requests_one_after_another_keep_a_connection_open(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only waiting counts, not age."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.5)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(8):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        time.sleep(0.1)
    connection.close()


def test_a_body_that_stops_coming_is_answered(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """408, so that its sender knows."""
    monkeypatch.setattr(limits, "IDLE_S", 0.3)
    with connect(port) as connection:
        connection.sendall(POST + b'{"dirname"')
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        said = json.loads(answer.read())
    assert (answer.status, answer.headers["content-type"]) == (408, "application/problem+json")
    assert said["code"] == "too_slow"


def test_a_body_that_drips_is_answered(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However regularly its bytes come."""
    monkeypatch.setattr(limits, "GRACE_S", 0.3)
    with connect(port) as connection:
        connection.sendall(POST)
        assert drip(connection, b" ", 0.02) < 3


def test_a_slow_line_that_goes_on_is_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the least rate a body may take its time."""
    monkeypatch.setattr(limits, "GRACE_S", 0.3)
    body = b'{"dirname": "nowhere"}'.ljust(1000)
    with connect(port) as connection:
        connection.sendall(POST)
        for at in range(0, 1000, 100):
            connection.sendall(body[at : at + 100])
            time.sleep(0.1)
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_a_thousand_idle_connections_leave_the_others_served(port: int) -> None:
    """And a hundred that drip their heads."""
    connections.allow_many()
    idle = [connect(port) for _ in range(1000)]
    loris = [connect(port) for _ in range(100)]
    try:
        took = []
        for byte in b"GET /healthz HTTP/1.1\r\nHost: for ever and a day":
            for each in loris:
                each.sendall(bytes([byte]))
            began = time.monotonic()
            assert ask(port)[0] == 200
            took.append(time.monotonic() - began)
        assert sorted(took)[-5] < 0.25
    finally:
        for each in (*idle, *loris):
            each.close()


def test_requests_over_the_rate_are_told_when_to_come_again(core: Core) -> None:
    """429 as problem+json; probes are not counted."""
    told = Settings(workdir=Path("unused"), rate_limit="3/minute")
    app = create_app(core, root_path="/", settings=told)
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        statuses = [ask(port, "/monitoring")[0] for _ in range(5)]
        with connect(port) as connection:
            connection.sendall(b"GET /monitoring HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            refusal = http.client.HTTPResponse(connection)
            refusal.begin()
            said = json.loads(refusal.read())
        probes = {ask(port)[0] for _ in range(5)}
        server.should_exit = True
        thread.join(10)
    assert statuses == [200, 200, 200, 429, 429]
    assert (refusal.status, said["code"]) == (429, "too_many")
    assert 1 <= int(refusal.headers["retry-after"]) <= 60
    assert refusal.headers["content-type"] == "application/problem+json"
    assert probes == {200}
