"""Clients that take more than their share, over real sockets: too slow, too many, idle, endless."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from api import connections, limits
from api.app import create_app
from api.service import Core
from pipeline.settings import Settings
from tests.serving import serving

PATIENCE_S = 60.0
POST = b"POST /transcription HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    core = Core(Settings(workdir=tmp_path_factory.mktemp("workdir")))
    yield core
    core.close()


@pytest.fixture(scope="module")
def port(core: Core) -> Iterator[int]:
    with serving(create_app(core, root_path="/")) as port:
        yield port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def ask(port: int, path: str = "/healthz") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def drip(connection: socket.socket, data: bytes, seconds: float) -> bytes:
    """Send a byte again and again until the other side closes; return what it said."""
    deadline = time.monotonic() + PATIENCE_S
    connection.settimeout(seconds)
    said = b""
    while time.monotonic() < deadline:
        try:
            connection.sendall(data)
            if not (heard := connection.recv(65536)):
                return said
            said += heard
        except TimeoutError:
            continue
        except ConnectionError:
            return said
    pytest.fail("it was let go on")


def test_a_connection_that_never_asks_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence costs a connection, not for ever."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    with connect(port) as connection:
        began = time.monotonic()
        assert connection.recv(1) == b""
        assert time.monotonic() - began > 0.2


def test_a_head_that_drips_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow-loris: each byte would keep uvicorn waiting for the next."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.4)
    with connect(port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ")
        assert b"HTTP" not in drip(connection, b"x", 0.05)


def test_a_second_head_that_drips_is_cut_off_too(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an answer as before the first."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.4)
    with connect(port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert b"HTTP" not in drip(connection, b"x", 0.05)


def test_a_body_that_is_refused_is_not_read_for_ever(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after the answer is thrown away, and soon the line is closed."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.4)
    with connect(port) as connection:
        connection.sendall(b"POST /rescan HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert b"HTTP" not in drip(connection, b"x", 0.05)


def test_requests_one_after_another_keep_a_connection_open(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only waiting counts, not age. A machine that is too busy to ask in time is given another try."""
    for seconds in (0.4, 2.0, 8.0):
        monkeypatch.setattr(connections, "REQUEST_S", seconds)
        with suppress(ConnectionError):
            asks_for(port, 1.5 * seconds)
            return
    pytest.fail("it was closed amid requests")


def asks_for(port: int, seconds: float) -> None:
    """Ask over one connection again and again, for so long."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        time.sleep(seconds / 10)
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
    monkeypatch.setattr(connections, "REQUEST_S", 0.4)
    with connect(port) as connection:
        connection.sendall(POST)
        assert drip(connection, b" ", 0.02).startswith(b"HTTP/1.1 408 ")


def test_a_slow_line_that_goes_on_is_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the least rate a body may take its time. A machine too busy to send it so is given another try."""
    answers = []
    for seconds in (0.3, 1.0, 2.0):
        monkeypatch.setattr(limits, "GRACE_S", seconds)
        answers.append(slowly_answered(port, 1.6 * seconds)[:13])
        if answers[-1] == b"HTTP/1.1 404 ":
            return
    pytest.fail(f"it was not waited for: {answers}")


def slowly_answered(port: int, seconds: float) -> bytes:
    """Send a body in twenty pieces over so long a time; return what is answered."""
    body = b'{"dirname": "nowhere"}'.ljust(1000)
    with connect(port) as connection:
        connection.sendall(POST)
        with suppress(ConnectionError):
            for at in range(0, 1000, 50):
                connection.sendall(body[at : at + 50])
                time.sleep(seconds / 20)
            return connection.recv(65536)
    return b""


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
        assert sorted(took)[len(took) // 2] < 5
    finally:
        for each in (*idle, *loris):
            each.close()


def test_requests_over_the_rate_are_told_when_to_come_again(core: Core) -> None:
    """429 as problem+json; probes are not counted."""
    told = Settings(workdir=Path("unused"), rate_limit="3/minute")
    with serving(create_app(core, root_path="/", settings=told)) as port:
        statuses = [ask(port, "/monitoring")[0] for _ in range(5)]
        with connect(port) as connection:
            connection.sendall(b"GET /monitoring HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            refusal = http.client.HTTPResponse(connection)
            refusal.begin()
            said = json.loads(refusal.read())
        probes = {ask(port)[0] for _ in range(5)}
    assert statuses == [200, 200, 200, 429, 429]
    assert (refusal.status, said["code"]) == (429, "too_many")
    assert 1 <= int(refusal.headers["retry-after"]) <= 60
    assert refusal.headers["content-type"] == "application/problem+json"
    assert probes == {200}
