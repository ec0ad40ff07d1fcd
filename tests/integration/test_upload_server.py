"""Uploads over real sockets: broken clients, races, bodies of any length, a disk that fills up."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.app import create_app
from api.service import Core
from pipeline.settings import Settings
from tests.acceptance.harness import until
from tests.serving import serving

LIMIT = 3 << 20
HEAD = (
    "POST /transcription/upload HTTP/1.1\r\nHost: x\r\n"
    "Content-Type: multipart/form-data; boundary=edge\r\n{framing}\r\n\r\n"
)


def part(name: str, content: bytes, filename: str = "") -> bytes:
    extra = f'; filename="{filename}"' if filename else ""
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(dirname: str, **files: bytes) -> bytes:
    parts = [part("files", content, name.replace("_", ".")) for name, content in files.items()]
    return part("dirname", dirname.encode()) + b"".join(parts) + b"--edge--\r\n"


@contextmanager
def served(workdir: Path, **settings: Any) -> Iterator[tuple[Core, int]]:
    """Serve as `start-service` does, without its stages; yield the core and the port."""
    told = Settings(workdir=workdir, **settings)
    core = Core(told)
    with serving(create_app(core, root_path="/", settings=told)) as port:
        yield core, port
    core.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Core, int]]:
    with served(tmp_path_factory.mktemp("workdir"), max_upload_bytes=LIMIT) as made:
        yield made


@pytest.fixture
def port(running: tuple[Core, int]) -> int:
    return running[1]


@pytest.fixture
def root(running: tuple[Core, int]) -> Path:
    return running[0].settings.workdir


def send(port: int, body: bytes, framing: str = "") -> tuple[int, dict[str, Any]]:
    """Send a form, its length declared unless told otherwise; return status and answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        framing = framing or f"Content-Length: {len(body)}"
        connection.sendall(HEAD.format(framing=framing).encode())
        connection.sendall(body)
        return answered(connection)


def answered(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read())


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


def nothing_is_hidden(root: Path) -> bool:
    return list((root / ".whisper/uploads").iterdir()) == []


def test_a_body_of_unknown_length_is_stored(port: int, root: Path) -> None:
    """Chunked, as a program sends that pipes."""
    body = form("piped", a_mp3=b"x" * 200_000)
    status, said = send(
        port, chunked(body[:100], body[100:70_000], body[70_000:]), "Transfer-Encoding: chunked"
    )
    assert (status, said["dirname"]) == (200, "piped")
    assert (root / "piped/a.mp3").stat().st_size == 200_000


@pytest.mark.parametrize("framing", ["Content-Length", "chunked"])
def test_what_is_too_large_is_refused_and_leaves_nothing(port: int, root: Path, framing: str) -> None:
    """413, declared or not."""
    body = form("large", a_mp3=b"x" * (LIMIT + 1))
    if framing == "chunked":
        pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
        status, said = send(port, chunked(*pieces), "Transfer-Encoding: chunked")
    else:
        status, said = send(port, body)
    assert (status, said["code"]) == (413, "too_large")
    assert "--max_upload_bytes" in said["detail"]
    assert not (root / "large").exists()
    until(lambda: nothing_is_hidden(root))


def test_a_declared_length_that_is_too_large_is_refused_before_it_comes(port: int) -> None:
    """A client that asks first (100-continue) sends nothing."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        framing = f"Expect: 100-continue\r\nContent-Length: {LIMIT + 1}"
        connection.sendall(HEAD.format(framing=framing).encode())
        assert answered(connection)[0] == 413


@pytest.mark.parametrize("sent", [60, 200, 100_000])
def test_a_client_that_goes_away_leaves_nothing(port: int, root: Path, sent: int) -> None:
    """In the middle of a field, of a header or of a file."""
    body = form("gone", a_mp3=b"x" * 300_000)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD.format(framing=f"Content-Length: {len(body)}").encode() + body[:sent])
        until(lambda: not nothing_is_hidden(root))
    until(lambda: nothing_is_hidden(root))
    assert not (root / "gone").exists()


def test_of_two_that_send_the_same_directory_at_once_one_has_it(port: int, root: Path) -> None:
    """The other is told so; the files of one lie there, whole."""
    bodies = [form("race", a_mp3=b"first" * 9000), form("race", b_mp3=b"second" * 9000)]
    connections = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in bodies]
    for connection, body in zip(connections, bodies, strict=True):
        connection.sendall(HEAD.format(framing=f"Content-Length: {len(body)}").encode() + body[:-10])
    for connection, body in zip(connections, bodies, strict=True):
        connection.sendall(body[-10:])
    answers = [answered(connection) for connection in connections]
    for connection in connections:
        connection.close()
    assert sorted(status for status, _ in answers) == [200, 409]
    winner = [status for status, _ in answers].index(200)
    (file,) = (root / "race").iterdir()
    assert (file.name, file.stat().st_size) == [("a.mp3", 45_000), ("b.mp3", 54_000)][winner]
    until(lambda: nothing_is_hidden(root))


def test_a_directory_that_exists_is_refused_before_its_files_come(port: int, root: Path) -> None:
    """Where dirname comes first, nobody needs to send a gigabyte for a 409."""
    (root / "there").mkdir(exist_ok=True)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        body = part("dirname", b"there") + b"--edge\r\n"
        connection.sendall(HEAD.format(framing="Content-Length: 2000000").encode() + body)
        assert answered(connection)[0] == 409


def test_a_disk_that_fills_up_keeps_nothing_of_it(tmp_path: Path) -> None:
    """503, when to come again, and room as before."""
    workdir = tmp_path / "small"
    workdir.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(workdir)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        queue = f"sqlite:///{tmp_path / 'queue.db'}"
        with served(workdir, database_url=queue, min_free_bytes=0) as (_core, port):
            body = form("full", a_mp3=b"x" * 2_000_000)
            status, said = send(port, body)
            assert (status, "nearly full" in said["detail"]) == (503, True)
            status, said = send(port, chunked(body), "Transfer-Encoding: chunked")
            assert (status, "No space left" in said["detail"]) == (503, True)
            until(lambda: nothing_is_hidden(workdir))
            assert not (workdir / "full").exists()
            assert send(port, form("fits", a_mp3=b"x" * 100_000))[0] == 200
    finally:
        subprocess.run(["umount", str(workdir)], check=True)
