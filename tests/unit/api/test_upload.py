"""POST /transcription/upload: recordings sent, stored whole or not at all, and submitted."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from api.service import Core

_numbers = itertools.count(1)
PROBLEM = "application/problem+json"
A_FILE = [("files", ("a.wav", b"sound"))]


@pytest.fixture
def dirname() -> str:
    return f"sent{next(_numbers)}"


def send(client: TestClient, files: Any = A_FILE, **fields: str) -> Any:
    return client.post("/transcription/upload", data=fields, files=files)


def refused(answer: Any, status: int) -> str:
    """Return what a refusal says, having seen that it is one."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    assert answer.json()["status"] == status
    return str(answer.json()["detail"])


def left_behind(root: Path) -> list[str]:
    return [path.name for path in (root / ".whisper/uploads").iterdir()]


def test_what_is_sent_lies_in_its_directory_and_is_a_task(
    client: TestClient, root: Path, dirname: str
) -> None:
    """Answered as POST /transcription answers."""
    answer = send(client, [("files", ("a.wav", b"one")), ("files", ("tape/b.mp3", b"two"))], dirname=dirname)
    said = answer.json()
    assert answer.status_code == 200, said
    assert said.keys() == {"task_id", "task_status", "dirname", "monitoring_url"}
    assert (said["dirname"], said["task_status"]) == (dirname, "pending")
    assert answer.headers["location"] == said["monitoring_url"]
    assert (root / dirname / "tape/b.mp3").read_bytes() == b"two"
    files = client.get(said["monitoring_url"]).json()["files"]
    assert [file["path"] for file in files] == [f"{dirname}/a.wav", f"{dirname}/tape/b.mp3"]
    assert left_behind(root) == []
    assert client.get(said["monitoring_url"]).json()["source"] == "api"


def test_the_fields_of_a_submission_go_along(client: TestClient, core: Core, dirname: str) -> None:
    """As text, in any order, those left empty not given."""
    answer = send(
        client, language="French", word_timestamps="true", priority="7", dirname=dirname, initial_prompt=""
    )
    task = core.store.task(answer.json()["task_id"])
    assert task is not None
    assert task.options == {"language": "fr", "word_timestamps": True}
    assert task.priority == 7


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "'dirname' is missing"),
        ({"dirname": ""}, "must name"),
        ({"dirname": "../x"}, "must name"),
        ({"dirname": "/etc"}, "must name"),
        ({"dirname": ".hidden"}, "would not be looked at"),
        ({"dirname": "sent-x", "langauge": "fr"}, "'langauge' is not known here. Did you mean 'language'"),
        ({"dirname": "sent-x", "include": "*.mp3"}, "'include' is not known here"),
        ({"dirname": "sent-x", "language": "klingon"}, "klingon"),
        ({"dirname": "sent-x", "priority": "high"}, "priority"),
        ({"dirname": "sent-x", "callback_url": "http://10.0.0.1/"}, "not a public one"),
        ({"dirname": ["sent-x", "sent-y"]}, "'dirname' was given twice"),
    ],
)
def test_a_form_that_is_wrong_is_refused_and_leaves_nothing(
    client: TestClient, root: Path, fields: dict[str, Any], said: str
) -> None:
    """400, and says what is wrong."""
    assert said in refused(send(client, **fields), 400)
    assert not (root / "sent-x").exists()
    assert left_behind(root) == []


@pytest.mark.parametrize("name", ["../a.wav", "/etc/a.wav", ".a.wav", "notes.txt", "a.wav.part", "a\\b.wav"])
def test_a_file_that_may_not_be_stored_is_named_and_leaves_nothing(
    client: TestClient, root: Path, dirname: str, name: str
) -> None:
    """The good one before it neither."""
    said = refused(send(client, [*A_FILE, ("files", (name, b"x"))], dirname=dirname), 400)
    assert repr(name) in said
    assert not (root / dirname).exists()
    assert left_behind(root) == []


def test_a_form_without_files_is_refused(client: TestClient, dirname: str) -> None:
    """Multipart though it is; and so is one that is none."""
    answer = client.post(
        "/transcription/upload",
        content=f'--e\r\nContent-Disposition: form-data; name="dirname"\r\n\r\n{dirname}\r\n--e--\r\n',
        headers={"Content-Type": "multipart/form-data; boundary=e"},
    )
    assert "no file was sent" in refused(answer, 400)
    assert "multipart/form-data" in refused(client.post("/transcription/upload", json={}), 400)
    assert "multipart/form-data" in refused(client.post("/transcription/upload"), 400)


def test_a_file_under_another_name_is_refused(client: TestClient, dirname: str) -> None:
    """It says under which files are sent."""
    said = refused(send(client, [("file", ("a.wav", b"x"))], dirname=dirname), 400)
    assert "'files'" in said


def test_a_directory_that_exists_is_a_conflict(client: TestClient, folder: str, root: Path) -> None:
    """And is left as it is."""
    before = sorted(path.name for path in (root / folder).iterdir())
    assert "exists" in refused(send(client, dirname=folder), 409)
    assert sorted(path.name for path in (root / folder).iterdir()) == before


def test_uploads_do_not_wait_for_the_quiet_time(client: TestClient, core: Core, dirname: str) -> None:
    """They were moved in: the second look half a second later takes them."""
    core.intake._settle._quiet_s = 60.0
    try:
        task_id = send(client, dirname=dirname).json()["task_id"]
        core.intake.step(1000.0)
        core.intake.step(1000.6)
    finally:
        core.intake._settle._quiet_s = 0.0
    files = client.get(f"/monitoring/{task_id}").json()["files"]
    assert [file["status"] for file in files] == ["queued"]


def test_more_at_once_than_allowed_is_refused_for_now(
    core: Core, dirname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and when to come again."""
    monkeypatch.setattr("api.limits.TURN_S", 0.01)
    client = TestClient(create_app(core, root_path="/", settings=Settings(max_uploads=0)))
    answer = send(client, dirname=dirname)
    assert "max_uploads" in refused(answer, 503)
    assert int(answer.headers["retry-after"]) > 0


def test_a_disk_that_is_nearly_full_is_left_alone(
    client: TestClient, core: Core, root: Path, dirname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and when to come again; nothing is stored."""
    monkeypatch.setattr(core.room, "_kept_free", 1 << 62)
    answer = send(client, dirname=dirname)
    assert "min_free_bytes" in refused(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert left_behind(root) == []


def test_with_an_output_dir_uploads_are_refused(
    client: TestClient, core: Core, dirname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workdir is then only read."""
    monkeypatch.setattr(core.uploads, "_is_open", False)
    assert "output_dir" in refused(send(client, dirname=dirname), 409)


def test_while_the_service_stops_uploads_are_refused(
    client: TestClient, core: Core, dirname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every POST is."""
    monkeypatch.setattr(core, "draining", True)
    assert "stopping" in refused(send(client, dirname=dirname), 503)


def test_the_page_shows_the_form(client: TestClient) -> None:
    """Its files, its dirname and the fields of a submission that make sense here."""
    operation = client.get("/openapi.json").json()["paths"]["/transcription/upload"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["dirname", "files"]
    assert form["properties"]["files"]["items"]["format"] == "binary"
    assert {"language", "priority", "force"} < form["properties"].keys()
    assert not {"include", "exclude"} & form["properties"].keys()
    assert {"400", "408", "409", "413", "503"} < operation["responses"].keys()
    assert Settings().max_upload_bytes == 10 * 2**30
