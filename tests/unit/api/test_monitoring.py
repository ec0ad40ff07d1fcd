"""GET /monitoring, both forms."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from api.schemas import TaskAnswer, TaskList

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi.testclient import TestClient

    from api.service import Core


def test_a_task_answers_with_all_its_files(
    client: TestClient, submitted: Callable[..., dict[str, Any]]
) -> None:
    """Path by path, in order."""
    task = submitted("b.wav", "a.wav")
    answer = client.get(task["monitoring_url"])
    assert answer.status_code == 200
    said = TaskAnswer.model_validate_json(answer.content, extra="forbid")
    assert (said.task_id, said.task_status, said.source) == (task["task_id"], "pending", "api")
    assert [each.path for each in said.files] == [f"{said.dirname}/{name}" for name in ("a.wav", "b.wav")]
    assert sum(said.counts.values()) == 2
    assert said.next_cursor is None


def test_a_task_shows_whom_it_tells_of_its_end_and_how_that_stands(
    client: TestClient, core: Core, folder: str
) -> None:
    """Without what an address may hold of secrets."""
    url = "https://user:hidden@hooks.example:8443/done?token=hidden"
    task = client.post("/transcription", json={"dirname": folder, "callback_url": url}).json()
    shown = {
        "url": "https://hooks.example:8443/done",
        "state": "waiting",
        "attempts": 0,
        "next_attempt_at": None,
        "last_error": None,
    }
    assert callbacks(client, task) == [shown]
    client.delete(f"/transcription/{task['task_id']}")
    assert callbacks(client, task) == [shown | {"state": "pending"}]
    (message,) = (each for each in core.store.due(0.0, 100) if each.task_id == task["task_id"])
    core.store.put_off(message.id, "answered 500", 4_000_000_000.0)
    tried = {"state": "pending", "attempts": 1, "last_error": "answered 500"}
    assert callbacks(client, task) == [shown | tried | {"next_attempt_at": "2096-10-02T07:06:40.000Z"}]
    core.store.delivered(message.id)
    assert callbacks(client, task) == [shown | {"state": "delivered", "attempts": 2}]


def callbacks(client: TestClient, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what monitoring says of a task's callbacks."""
    answer = client.get(task["monitoring_url"])
    TaskAnswer.model_validate_json(answer.content, extra="forbid")
    told: list[dict[str, Any]] = answer.json()["callbacks"]
    return told


def test_both_forms_of_asking_for_one_task_answer_the_same(
    client: TestClient, submitted: Callable[..., dict[str, Any]]
) -> None:
    """/monitoring/ID and /monitoring?task_id=ID."""
    task_id = submitted("a.wav", "b.wav")["task_id"]
    plain, query = (
        client.get(f"/monitoring/{task_id}"),
        client.get("/monitoring", params={"task_id": task_id}),
    )
    assert plain.json() == query.json()
    paged = client.get("/monitoring", params={"task_id": task_id, "limit": 1})
    assert len(paged.json()["files"]) == 1


def test_files_come_in_pages_when_asked(client: TestClient, submitted: Callable[..., dict[str, Any]]) -> None:
    """Each file once."""
    url = submitted(*(f"{n}.wav" for n in range(5)))["monitoring_url"]
    seen, cursor = [], None
    for _ in range(4):
        page = client.get(url, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [each["path"].rpartition("/")[2] for each in page["files"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"{n}.wav" for n in range(5)]


def test_files_can_be_asked_for_by_status(
    client: TestClient, submitted: Callable[..., dict[str, Any]]
) -> None:
    """`failed` is any failure."""
    task = submitted("a.wav", "b.wav")
    client.delete(f"/transcription/{task['task_id']}")
    ask = {
        wanted: client.get(task["monitoring_url"], params={"files": wanted})
        for wanted in ("cancelled", "failed", "all")
    }
    assert [len(answer.json()["files"]) for answer in ask.values()] == [2, 0, 2]


def test_tasks_come_newest_first_and_in_pages(
    client: TestClient, submitted: Callable[..., dict[str, Any]]
) -> None:
    """With counts in place of files."""
    made = [submitted("a.wav")["task_id"] for _ in range(3)][::-1]
    first = client.get("/monitoring", params={"limit": 2})
    said = TaskList.model_validate_json(first.content, extra="forbid")
    assert [each.task_id for each in said.tasks] == made[:2]
    assert "files" not in first.json()["tasks"][0]
    second = client.get("/monitoring", params={"limit": 2, "cursor": said.next_cursor}).json()
    assert second["tasks"][0]["task_id"] == made[2]


def test_tasks_can_be_asked_for_by_directory_status_and_time(
    client: TestClient, submitted: Callable[..., dict[str, Any]]
) -> None:
    """All filters together narrow."""
    task = submitted("a.wav")

    def ids(**params: Any) -> list[str]:
        return [each["task_id"] for each in client.get("/monitoring", params=params).json()["tasks"]]

    dirname, task_id = task["dirname"], task["task_id"]
    assert ids(dirname=f"./{dirname}/") == [task_id]
    assert ids(dirname=dirname, status=["pending", "running"]) == [task_id]
    assert ids(dirname=dirname, status="failed") == []
    assert ids(dirname=dirname, updated_after="2020-01-01T00:00:00Z") == [task_id]
    later = datetime.fromtimestamp(time.time() + 60, UTC).isoformat()
    assert ids(dirname=dirname, updated_after=later) == []


@pytest.mark.parametrize(
    "moment", ["2020-01-01T00:00:00Z", "2020-01-01t00:00:00.5z", "2020-01-01 00:00:00+02:00"]
)
def test_a_time_may_be_spelled_as_rfc_3339_allows(client: TestClient, moment: str) -> None:
    """And its '+' may arrive as a space, as it does unquoted."""
    assert client.get("/monitoring", params={"updated_after": moment}).status_code == 200
    assert client.get(f"/monitoring?updated_after={moment}").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=99999999999999999999",
        "status=done",
        "updated_after=yesterday",
        "updated_after=5",
        "updated_after=2020-01-01T00:00:00",
        "updated_after=2020-13-01T00:00:00Z",
        "updated_after=2020-01-01T00:00:61Z",
        "updated_after=",
        "cursor=nonsense",
        "cursor=%ff%00",
        "dirname=/etc",
        "dirname=../x",
        "dirname=a%00b",
        "statsu=failed",
        "files=failed",
        "task_id=x&status=failed",
    ],
)
def test_a_bad_query_is_a_400(client: TestClient, query: str) -> None:
    """Never 422, and no mistyped filter is ignored."""
    answer = client.get(f"/monitoring?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    ["files=nope", "limit=0", "limit=1e3", "cursor=nonsense", "file=all"],
)
def test_a_bad_query_for_one_task_is_a_400(
    client: TestClient, submitted: Callable[..., dict[str, Any]], query: str
) -> None:
    """Also where the task is known."""
    assert client.get(f"{submitted('a.wav')['monitoring_url']}?{query}").status_code == 400


def test_a_page_may_be_asked_for_with_its_parameters_left_empty(
    client: TestClient, submitted: Callable[..., dict[str, Any]]
) -> None:
    """As the contract writes them, and scripts that fill them in from the second page on."""
    url = submitted("a.wav")["monitoring_url"]
    assert client.get(f"{url}?files=all&limit=&cursor=").json()["files"] == client.get(url).json()["files"]
    assert client.get("/monitoring?limit=&cursor=").json().keys() == {"tasks", "next_cursor"}


def test_a_mistyped_filter_is_answered_with_the_closest(client: TestClient) -> None:
    """As for the body's fields."""
    assert "Did you mean 'status'?" in client.get("/monitoring?statsu=failed").json()["detail"]


@pytest.mark.parametrize(
    ("query", "headers", "words"),
    [
        ("?limit=0", {}, "limit: input should be"),
        ("?files=nonsense", {}, "files: input should be 'settling'"),
        ("/events", {"Last-Event-ID": "x"}, "last-event-id: the id"),
    ],
)
def test_what_cannot_be_used_is_named_as_the_client_named_it(
    client: TestClient, query: str, headers: dict[str, str], words: str
) -> None:
    """Not by the types that it is tried as."""
    assert client.get(f"/monitoring{query}", headers=headers).json()["detail"].startswith(words)


def test_an_unknown_task_by_query_is_a_404(client: TestClient) -> None:
    """As by path."""
    assert client.get("/monitoring", params={"task_id": ""}).status_code == 404


@pytest.mark.parametrize(
    "cursor", ["00_99999999999999999999", "00_-99999999999999999999", "1e999_x", "nan_x"]
)
def test_a_made_up_cursor_is_no_defect_of_ours(
    client: TestClient, submitted: Callable[..., dict[str, Any]], cursor: str
) -> None:
    """Whatever numbers it holds."""
    for path in ("/monitoring", submitted("a.wav")["monitoring_url"]):
        assert client.get(path, params={"cursor": cursor}).status_code in (200, 400)
