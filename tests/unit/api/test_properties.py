"""What a client may set and see of a task, field by field (OWASP API3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from api.schemas import FileAnswer, TaskAnswer, TaskRef, TaskSummary

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi.testclient import TestClient
    from pydantic import BaseModel

OURS = [
    *("task_id", "task_status", "state", "source", "id", "epoch", "token", "progress", "attempts", "outputs"),
    *("created_at", "audio_seconds", "counts", "warnings", "error", "beam_size", "dtype", "engine", "__proto__"),
]  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_a_property_that_is_not_a_clients_to_set_is_refused(
    client: TestClient, folder: str, name: str
) -> None:
    """By its name, wherever a body or query is taken; nothing is passed over in silence."""
    for method, path, sent in (
        ("POST", "/transcription", {"json": {"dirname": folder, name: "done"}}),
        ("POST", "/forget", {"json": {"path": folder, name: "done"}}),
        ("POST", "/login", {"json": {"key": "wt_", name: "done"}}),
        ("GET", "/monitoring", {"params": {f"{name}_": "done"}}),
    ):
        answer = client.request(method, path, **sent)
        assert answer.status_code == 400, path
        assert name in answer.json()["detail"]


def test_answers_hold_the_documented_properties_and_no_others(
    client: TestClient, submitted: Callable[..., dict[str, Any]]
) -> None:
    """A task's lease, options and hashes stay inside."""
    reference = submitted("a.wav", "b.wav")
    answer = client.get(reference["monitoring_url"]).json()
    summary = client.get("/monitoring").json()["tasks"][0]
    assert reference.keys() == _fields(TaskRef)
    assert answer.keys() == _fields(TaskAnswer)
    assert all(file.keys() == _fields(FileAnswer) for file in answer["files"])
    assert summary.keys() == _fields(TaskSummary)


def _fields(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)
