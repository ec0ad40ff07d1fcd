"""What the routes refuse before anything is transcribed, and in whose words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.problems import MEDIA_TYPE
from pipeline.settings import Settings

if TYPE_CHECKING:
    from api.service import Core

SOUND = {"file": ("a.wav", b"sound")}


@pytest.mark.parametrize("path", ["/v1/none", "/api/v1/none", "/v1", "/v1/audio/speech"])
def test_errors_below_v1_are_openais(core: Core, path: str) -> None:
    """Whether or not a proxy strips its prefix."""
    answer = TestClient(create_app(core, root_path="/api")).get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/v10", "/none/v1", "/monitoring/none"])
def test_errors_of_all_other_routes_are_problems(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, MEDIA_TYPE)


def test_a_file_as_text_is_no_file(client: TestClient) -> None:
    """`curl -F file=talk.wav`, its @ forgotten."""
    form = {"model": (None, "whisper-1"), "file": (None, "talk.wav")}
    answer = client.post("/v1/audio/transcriptions", files=form)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


def test_a_second_file_is_refused(client: TestClient, core: Core) -> None:
    files = [("file", ("a.wav", b"a")), ("file", ("b.wav", b"b"))]
    answer = client.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=files)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "send one file")
    assert list((core.place.folder / "spool").iterdir()) == []


def test_no_recording_is_taken_in_while_the_queue_cannot_be_written(
    client: TestClient, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor into the place where a workdir should be mounted."""
    monkeypatch.setattr(core.holding, "trouble", "the queue cannot be written")
    answer = client.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=SOUND)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert answer.json()["error"] == {
        "message": "the queue cannot be written", "type": "server_error", "param": None, "code": "unavailable",
    }  # fmt: skip


def test_no_more_than_may_send_at_once_are_taken_in(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.limits.TURN_S", 0.01)
    client = TestClient(create_app(core, root_path="/", settings=Settings(max_uploads=0)))
    answer = client.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=SOUND)
    assert answer.status_code == 503
    assert "max_uploads" in answer.json()["error"]["message"]
