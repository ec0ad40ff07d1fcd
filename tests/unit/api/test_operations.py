"""Alive, ready, rescan, pause, resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.schemas import Problem
from pipeline.relay.links import StageInfo

if TYPE_CHECKING:
    import pytest
    from fastapi.testclient import TestClient

    from api.service import Core


def test_a_live_service_says_so(client: TestClient) -> None:
    """Whatever else is wrong."""
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_service_without_stage_is_not_ready_and_says_why(client: TestClient) -> None:
    """503 as a problem, with the reasons and what is known of the parts."""
    answer = client.get("/readyz")
    assert answer.status_code == 503
    said = Problem.model_validate(answer.json())
    assert "stage" in said.detail
    assert answer.json()["reasons"]
    assert "queue" in answer.json()
    assert "retry-after" in answer.headers


def test_a_service_without_problems_is_ready(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """200, with the same facts."""
    monkeypatch.setattr("api.condition.problems", lambda _core: [])
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert "queue" in answer.json()


def test_the_figures_of_each_stage_are_shown(client: TestClient, core: Core) -> None:
    """How busy its device is and how fast it goes, while it works."""
    figures = {"device_busy": 0.97, "real_time_factor": 41.0}
    shown = {"device": "cpu", "phase": "ready", "detail": "base", "fraction": None, "jobs": 1}
    core.dispatch.stages = [
        StageInfo(worker="a", **shown, figures=figures),
        StageInfo(worker="b", **shown, figures={}),
    ]
    assert client.get("/readyz").json()["stages"] == [shown | {"figures": figures}, shown]


def test_pausing_and_resuming_say_what_holds_now(client: TestClient) -> None:
    """And again, whatever the state."""
    for _ in range(2):
        assert client.post("/pause").json() == {"paused": True}
    assert client.post("/resume").json() == {"paused": False}


def test_a_pause_is_shown_once_it_is_acknowledged(client: TestClient) -> None:
    """Before the relay's next step, which is when the stages hear of it."""
    client.post("/pause")
    assert client.get("/readyz").json()["paused"] == ["user"]
    client.post("/resume")
    assert client.get("/readyz").json()["paused"] == []


def test_a_rescan_can_be_asked_for(client: TestClient) -> None:
    """It happens as soon as it can."""
    assert client.post("/rescan").json() == {"rescan": "requested"}
