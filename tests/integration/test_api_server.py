"""The API behind a real server: raw bytes, broken clients, prefixes, large tasks."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from api.app import create_app
from api.schemas import TaskAnswer
from api.service import Core
from pipeline.queue.records import NewFile
from pipeline.settings import Settings
from pipeline.tasks import FileState, Fingerprint, Source
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "/api"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    core = Core(Settings(workdir=tmp_path_factory.mktemp("workdir")))
    yield core
    core.close()


@pytest.fixture(scope="module")
def port(core: Core) -> Iterator[int]:
    with serving(create_app(core, root_path=PREFIX)) as port:
        yield port


@pytest.fixture
def folder(core: Core, request: pytest.FixtureRequest) -> str:
    folder = core.settings.workdir / request.node.name.replace("/", "-")
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"sound")
    return folder.name


def ask(
    port: int, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def send(port: int, raw: bytes) -> bytes:
    """Send these bytes as they are, and return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(raw)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_a_task_can_be_submitted_and_followed_by_the_urls_in_the_answers(
    port: int, folder: str, prefix: str
) -> None:
    """Whether or not the proxy strips the prefix."""
    status, headers, said = ask(port, "POST", f"{prefix}/transcription", json.dumps({"dirname": folder}))
    assert (status, headers["location"]) == (200, f"{PREFIX}/monitoring/{said['task_id']}")
    assert "server" not in headers
    status, _, task = ask(port, "GET", headers["location"])
    assert (status, task["dirname"]) == (200, folder)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"dirname": 5}',
        b'{"dirname": "../x"}',
        b'{"dirname": "/etc"}',
        b'{"dirname": "a\\u0000"}',
    ],
)
def test_the_malformed_bodies_of_the_contract_are_400s(port: int, body: bytes) -> None:
    """As problem+json."""
    status, headers, said = ask(port, "POST", "/transcription", body)
    assert (status, headers["content-type"], said["status"]) == (400, PROBLEM, 400)


def test_a_post_without_any_body_is_a_400(port: int) -> None:
    """`curl -X POST`."""
    answer = send(port, b"POST /transcription HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"the body is empty" in answer


@pytest.mark.parametrize(
    "target",
    [b"/monitoring/%ff%00", b"/monitoring/\xc3\xa9", b"/%", b"//", b"/monitoring?limit=%ff", b"/api/../x"],
)
def test_odd_request_targets_are_client_errors(port: int, target: bytes) -> None:
    """Bytes that are no UTF-8, broken escapes, dots."""
    answer = send(port, b"GET " + target + b" HTTP/1.1\r\nHost: [::1\r\nConnection: close\r\n\r\n")
    assert answer[9:12] in (b"400", b"404", b"307")


def test_a_large_body_is_refused_without_reading_it_all(port: int) -> None:
    """By its declared length, before 100-continue asks for it."""
    head = b"POST /transcription HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = send(port, head + b"Content-Length: 1073741824\r\nExpect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


def test_an_endless_chunked_body_is_refused_once_it_is_too_large(port: int) -> None:
    """The client is told while it still sends."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"POST /transcription HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(17):
            connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_goes_away_amid_its_body_leaves_no_traceback(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no defect of ours."""
    caplog.set_level(logging.INFO)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b'POST /transcription HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"dirname"'
        )
        time.sleep(0.1)
    assert ask(port, "GET", "/healthz")[0] == 200
    time.sleep(0.2)
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_task_of_ten_thousand_files_is_answered_at_once(core: Core, port: int) -> None:
    """All of them, in one answer, true to the schema."""
    task, _ = core.store.open_task(b"archive", Source.CLI, {})
    files = [
        NewFile(
            path=b"archive/%05d.wav" % n, fingerprint=Fingerprint(n, n), state=FileState.SETTLING, options={}
        )
        for n in range(10_000)
    ]
    core.store.add_files(task.id, files)
    began = time.monotonic()
    status, _, said = ask(port, "GET", f"/monitoring/{task.id}")
    took = time.monotonic() - began
    assert status == 200
    assert len(TaskAnswer.model_validate(said).files) == 10_000
    assert took < 10


def test_answers_on_a_kept_connection_do_not_wait_for_the_network(port: int) -> None:
    """A head and its body leave at once: with Nagle's algorithm the body waits 40 ms for the client's kernel."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took = []
    for _ in range(40):
        began = time.perf_counter()
        connection.request("GET", f"{PREFIX}/healthz")
        connection.getresponse().read()
        took.append(time.perf_counter() - began)
    connection.close()
    assert sorted(took)[10] < 0.03  # a busy machine makes some of them late, the network would nearly all
