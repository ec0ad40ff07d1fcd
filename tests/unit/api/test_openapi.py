"""The OpenAPI page tells the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from api.problems import MEDIA_TYPE
from api.schemas import Submission

if TYPE_CHECKING:
    from fastapi.testclient import TestClient


@pytest.fixture(scope="module")
def schema(client: TestClient) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/openapi.json").json()
    return answer


def operations(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def test_it_shows_the_routes_of_the_contract(schema: dict[str, Any]) -> None:
    """All of them, and nothing that is not served."""
    assert set(operations(schema)) == {
        "POST /transcription",
        "POST /transcription/upload",
        "DELETE /transcription/{task_id}",
        "POST /transcription/{task_id}/retry",
        "GET /transcription/{task_id}/files/{path}",
        "GET /monitoring",
        "GET /monitoring/events",
        "GET /monitoring/{task_id}",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "POST /forget",
        "POST /rescan",
        "POST /pause",
        "POST /resume",
        "POST /login",
        "POST /logout",
        "POST /v1/audio/transcriptions",
        "POST /v1/audio/translations",
        "GET /v1/models",
        "GET /v1/models/{model}",
    }


def test_it_promises_problems_and_no_422(schema: dict[str, Any]) -> None:
    """Every operation shows what a refusal looks like."""
    for name, operation in operations(schema).items():
        refusals = {
            status: shown for status, shown in operation["responses"].items() if not status.startswith("2")
        }
        assert "422" not in refusals, name
        assert refusals, name
        media_type = "application/json" if " /v1/" in name else MEDIA_TYPE
        for shown in refusals.values():
            assert shown["content"].keys() == {media_type}, name
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_it_shows_what_each_event_holds(schema: dict[str, Any]) -> None:
    """As OpenAPI 3.2 and FastAPI's own streams do."""
    answers = operations(schema)["GET /monitoring/events"]["responses"]
    stream = answers["200"]["content"]
    assert stream.keys() == {"text/event-stream"}
    items = stream["text/event-stream"]["itemSchema"]["anyOf"]
    names = [each["properties"]["event"]["const"] for each in items if "event" in each["properties"]]
    assert names == ["task", "file", "progress", "summary", "missed"]
    assert "content" not in answers["204"]


def test_it_shows_the_body_that_is_checked(schema: dict[str, Any]) -> None:
    """With dirname alone required, and no defaults that the service's own options would belie."""
    body = operations(schema)["POST /transcription"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["dirname"]
    assert body["properties"].keys() == Submission.model_fields.keys()
    assert "default" not in body["properties"]["model"]
    assert body["additionalProperties"] is False


def test_it_shows_the_form_that_openais_clients_send(schema: dict[str, Any]) -> None:
    """With the file, and brackets where they send them."""
    shown = operations(schema)["POST /v1/audio/transcriptions"]["requestBody"]["content"]
    form = shown["multipart/form-data"]["schema"]
    assert form["required"] == ["file", "model"]
    assert {"file", "model", "timestamp_granularities[]", "stream"} <= form["properties"].keys()


def test_every_operation_is_described(schema: dict[str, Any]) -> None:
    """A summary and a sentence."""
    assert [name for name, operation in operations(schema).items() if not operation.get("description")] == []
