"""Errors as answers."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.problems import RETRY_AFTER_S, problem
from api.schemas import Problem
from api.service import Core
from pipeline import errors


def failing(core: Core, error: Exception) -> TestClient:
    app = create_app(core, root_path="/")

    @app.get("/boom")
    def boom() -> None:
        raise error

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UsageError("x"), 400),
        (errors.BadPathError(), 400),
        (errors.BadOptionsError("x"), 400),
        (errors.NotFoundError("x"), 404),
        (errors.ConflictError("x"), 409),
        (errors.IllegalTransitionError("x"), 409),
        (errors.UnavailableError("x"), 503),
        (errors.WorkdirUnusableError("x"), 503),
        (errors.PipelineError("x"), 500),
        (RuntimeError("x"), 500),
    ],
)
def test_every_error_answers_as_a_problem(core: Core, error: Exception, status: int) -> None:
    """By its class; what nobody foresaw is a 500 that tells nothing of the inside."""
    answer = failing(core, error).get("/boom")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    said = Problem.model_validate(answer.json())
    assert said.status == status
    assert said.title
    assert ("log" in said.detail) if status == 500 else (said.detail == str(error))
    assert answer.headers.get("retry-after") == (str(RETRY_AFTER_S) if status == 503 else None)


def test_an_unforeseen_error_is_logged_with_its_request(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    """The server logs the traceback; this line says what was asked."""
    failing(core, RuntimeError("x")).get("/boom")
    assert "GET /boom failed: RuntimeError" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("PUT", "/transcription", 405),
        ("POST", "/monitoring/x", 405),
        ("GET", "/pause", 405),
    ],
)
def test_what_is_not_served_is_a_problem_too(client: TestClient, method: str, path: str, status: int) -> None:
    """Not Starlette's plain text."""
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert path in answer.json()["detail"]


def test_a_problem_quotes_names_as_people_read_them_and_what_utf8_cannot_hold() -> None:
    """Accents as they are; a lone surrogate in a name must not turn a 400 into a 500."""
    body = problem(400, "été \ud800").body
    assert "été".encode() in body
    assert json.loads(body)["detail"] == "été \ud800"


def test_a_problem_quotes_no_megabytes() -> None:
    """A client's input is echoed to help it, within reason."""
    assert len(problem(400, "x" * 10**6).body) < 2000


@pytest.mark.parametrize("host", ["[::1", "a b", "", "\u00ff"])
def test_an_odd_host_header_is_no_defect_of_ours(client: TestClient, host: str) -> None:
    """Nothing parses it."""
    assert client.get("/nothing", headers={"host": host.encode("latin-1")}).status_code == 404
