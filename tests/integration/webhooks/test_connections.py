"""Where a callback goes: to the address that was judged, under the name that was asked for."""

from __future__ import annotations

import base64
import logging
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.webhooks.conftest import Rig
from tests.integration.webhooks.receiver import Receiver

NAME = "hooks.example"


class Names:
    """A resolver that gives a name other addresses each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    def __call__(self, host: str, port: Any, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        assert host == NAME
        addresses = self.answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port or 0)) for each in addresses]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return lambda *answers: monkeypatch.setattr(socket, "getaddrinfo", Names(*answers))


def test_a_name_is_resolved_once_and_what_it_says_later_does_not_count(
    rig: Rig, receiver: Receiver, names: Callable[..., None]
) -> None:
    """DNS rebinding: were it asked again, the second answer would be connected to."""
    names(["127.0.0.1"])
    assert rig.tell(f"http://{NAME}:{receiver.port}/hook?x=1").state == "delivered"
    (request,) = receiver.requests
    assert (request.headers["host"], request.path) == (f"{NAME}:{receiver.port}", "/hook?x=1")


def test_each_attempt_judges_anew(rig: Rig, receiver: Receiver, names: Callable[..., None]) -> None:
    """A name that was public yesterday is not trusted today; nothing is sent."""
    rig.allow = "192.0.2.0/24"
    rig.restart()
    names(["127.0.0.1"])
    callback = rig.tell(f"http://{NAME}:{receiver.port}/")
    assert callback.state == "pending"
    assert callback.last_error == "Its address is not a public one, and not listed in --callback_allow."
    assert receiver.requests == []


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_next_address_is_tried_where_one_does_not_answer(
    rig: Rig, receiver: Receiver, names: Callable[..., None], at: int
) -> None:
    """Whichever of them answers; one that may not be called is not tried."""
    addresses = ["127.0.0.9", "10.0.0.1", "127.0.0.8"]
    addresses.insert(at, "127.0.0.1")
    names(addresses)
    assert rig.tell(f"http://{NAME}:{receiver.port}/").state == "delivered"


def test_a_name_that_cannot_be_resolved_is_tried_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    callback = rig.tell(f"http://{NAME}/")
    assert callback.state == "pending"
    assert callback.last_error == "the host cannot be resolved: Temporary failure in name resolution"


def test_no_proxy_is_used(
    rig: Rig, receiver: Receiver, receivers: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would resolve names by itself."""
    proxy = receivers()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert rig.tell(receiver.url).state == "delivered"
    assert proxy.requests == []


def test_user_and_password_of_an_address_are_sent_and_not_logged(
    rig: Rig, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rig.tell(f"http://user:hidden-1@127.0.0.1:{receiver.port}/?token=hidden-2")
    (request,) = receiver.requests
    assert base64.b64decode(request.headers["authorization"].split()[1]) == b"user:hidden-1"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("pipeline")]
    assert ours
    assert "hidden" not in "".join(ours)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a certificate for NAME alone, with its key."""
    pem, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}")
    command = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    )
    subprocess.run(
        [*command, "-days", "2", "-keyout", str(key), "-out", str(pem), *subject],
        check=True,
        capture_output=True,
    )
    both = tmp_path / "both.pem"
    both.write_text(pem.read_text() + key.read_text())
    return both


def test_the_certificate_is_asked_for_and_checked_by_name(
    rig: Rig,
    receivers: Callable[..., Receiver],
    names: Callable[..., None],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though the connection goes to an address; a certificate of another name, or of nobody, is refused."""
    asked: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    receiver = receivers(tls=tls)
    names(["127.0.0.1"], ["127.0.0.1"])
    refused = rig.tell(f"https://{NAME}:{receiver.port}/")
    assert refused.last_error
    assert "CERTIFICATE_VERIFY_FAILED" in refused.last_error
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    rig.restart()
    assert rig.tell(f"https://{NAME}:{receiver.port}/").state == "delivered"
    assert asked == [NAME, NAME]
    monkeypatch.undo()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    rig.restart()
    other = rig.tell(f"https://127.0.0.1:{receiver.port}/")
    assert other.last_error
    assert "CERTIFICATE_VERIFY_FAILED" in other.last_error
    assert len(receiver.requests) == 1
