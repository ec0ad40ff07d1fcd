"""POST /transcription, cancel and retry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.requests import MAX_BODY
from api.schemas import Problem, Submission, TaskRef
from pipeline.options import POST_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fastapi.testclient import TestClient

    from api.service import Core

PROBLEM = "application/problem+json"


def test_a_directory_is_taken_in(client: TestClient, folder: str) -> None:
    """The answer is the original's task_id, and where to follow it."""
    answer = client.post("/transcription", json={"dirname": folder})
    assert answer.status_code == 200
    said = TaskRef.model_validate(answer.json())
    assert (said.task_status, said.dirname) == ("pending", folder)
    assert answer.headers["location"] == said.monitoring_url == f"/monitoring/{said.task_id}"


def test_asking_twice_answers_with_the_same_task(client: TestClient, folder: str) -> None:
    """POST is idempotent."""
    first, second = (client.post("/transcription", json={"dirname": folder}).json() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("form", ["{}/", "./{}", "{}//", ".//{}/."])
def test_every_spelling_of_a_directory_means_the_same_task(
    client: TestClient, folder: str, form: str
) -> None:
    """And is answered in one form."""
    plain = client.post("/transcription", json={"dirname": folder}).json()
    assert client.post("/transcription", json={"dirname": form.format(folder)}).json() == plain


def test_one_media_file_can_be_named(client: TestClient, folder: str) -> None:
    """A dirname may be a file."""
    answer = client.post("/transcription", json={"dirname": f"{folder}/a.wav"})
    assert (answer.status_code, answer.json()["dirname"]) == (200, f"{folder}/a.wav")


BAD_BODIES = {
    "nothing": b"",
    "blank": b"  \n",
    "no fields": b"{}",
    "cut": b'{"dirname": "x"',
    "no JSON": b"dirname=x",
    "a number": b"5",
    "null": b"null",
    "a string": b'"x"',
    "a list": b'["x"]',
    "a number as dirname": b'{"dirname": 5}',
    "null as dirname": b'{"dirname": null}',
    "a list as dirname": b'{"dirname": ["x"]}',
    "an empty dirname": b'{"dirname": ""}',
    "an absolute dirname": b'{"dirname": "/etc"}',
    "a dirname that escapes": b'{"dirname": "../x"}',
    "a dirname that escapes later": b'{"dirname": "x/../../y"}',
    "NUL": b'{"dirname": "x\\u0000y"}',
    "a lone surrogate": b'{"dirname": "\\ud800"}',
    "a raw control character": b'{"dirname": "a\x00b"}',
    "invalid UTF-8": b'{"dirname": "\xff\xfe"}',
    "UTF-16": '{"dirname": "x"}'.encode("utf-16"),
    "NaN": b'{"dirname": "x", "priority": NaN}',
    "infinity": b'{"dirname": "x", "priority": Infinity}',
    "NaN as an option": b'{"dirname": "x", "max_line_width": NaN}',
    "a fraction as priority": b'{"dirname": "x", "priority": 1.0}',
    "text as priority": b'{"dirname": "x", "priority": "5"}',
    "a boolean as priority": b'{"dirname": "x", "priority": true}',
    "a huge priority": b'{"dirname": "x", "priority": 9223372036854775808}',
    "a number of 5000 digits": b'{"dirname": "x", "priority": ' + b"9" * 5000 + b"}",
    "a number as force": b'{"dirname": "x", "force": 1}',
    "text as word_timestamps": b'{"dirname": "x", "word_timestamps": "true"}',
    "an unknown language": b'{"dirname": "x", "language": "klingon"}',
    "an unknown model": b'{"dirname": "x", "model": "bsae"}',
    "null as model": b'{"dirname": "x", "model": null}',
    "an unknown task": b'{"dirname": "x", "task": "sing"}',
    "an unknown format": b'{"dirname": "x", "output_format": "doc"}',
    "no format": b'{"dirname": "x", "output_format": []}',
    "a line without width": b'{"dirname": "x", "max_line_width": 0}',
    "an option POST does not take": b'{"dirname": "x", "beam_size": 5}',
    "text as include": b'{"dirname": "x", "include": "*.mp3"}',
    "a local callback": b'{"dirname": "x", "callback_url": "file:///etc/passwd"}',
    "a callback without host": b'{"dirname": "x", "callback_url": "http://"}',
    "a callback to a private address": b'{"dirname": ".", "callback_url": "http://10.0.0.1/"}',
    "a callback to this machine in disguise": b'{"dirname": ".", "callback_url": "http://2130706433/"}',
    "deep nesting": b'{"dirname": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a path too long": json.dumps({"dirname": "x/" * 3000}).encode(),
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_malformed_request_is_a_400(client: TestClient, body: bytes) -> None:
    """Never 422, never 500; the detail says what to send instead."""
    answer = client.post("/transcription", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert Problem.model_validate(answer.json()).detail


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"dirnam": "x"}, "Did you mean 'dirname'?"),
        ({"dirname": "x", "langauge": "fr"}, "Did you mean 'language'?"),
        ({"dirname": "x", "model": "bsae"}, "Did you mean 'base'?"),
        ({"dirname": "x", "language": "frensh"}, "Did you mean 'french'?"),
        ({}, "'dirname' is missing"),
        ({"dirname": 5}, "dirname: input should be a valid string"),
        ({"dirname": "x", "callback_url": "ftp://x"}, "callback_url: URL scheme should be"),
    ],
)
def test_a_mistake_is_answered_with_what_was_probably_meant(
    client: TestClient, body: dict[str, Any], words: str
) -> None:
    """The closest name, the missing one, the wrong type."""
    assert words in client.post("/transcription", json=body).json()["detail"]


def test_a_body_is_read_as_json_whatever_its_content_type(client: TestClient, folder: str) -> None:
    """`curl -d` calls it a form."""
    body = json.dumps({"dirname": folder}).encode()
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"):
        assert client.post("/transcription", content=body, headers={"content-type": kind}).status_code == 200


def test_a_body_may_begin_with_a_byte_order_mark(client: TestClient, folder: str) -> None:
    """As files that were written on Windows do."""
    body = json.dumps({"dirname": folder}).encode("utf-8-sig")
    assert client.post("/transcription", content=body).status_code == 200


@pytest.mark.parametrize(
    "dirname", ["no-such", "x" * 300, "a/" * 1000 + "b", "caf\u00e9", "\U0001f3a4", "-rf", "%2e%2e"]
)
def test_a_directory_that_is_not_there_is_a_404(client: TestClient, dirname: str) -> None:
    """Also one whose name no file system could hold."""
    answer = client.post("/transcription", json={"dirname": dirname})
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"] == PROBLEM


def test_a_link_out_of_the_workdir_is_refused(client: TestClient, root: Path) -> None:
    """It escapes like '..'."""
    (root / "leaves").symlink_to("/etc")
    assert client.post("/transcription", json={"dirname": "leaves"}).status_code == 400


def test_options_reach_the_task_as_they_were_spelled_out(client: TestClient, core: Core, folder: str) -> None:
    """Normalised by pipeline.options, and none that was not named."""
    body = {"dirname": folder, "language": "FRENCH", "output_format": "srt, txt", "priority": 3}
    answer = client.post("/transcription", json=body | {"callback_url": "https://example.org/done"})
    task = core.store.task(answer.json()["task_id"])
    assert task
    assert task.priority == 3
    assert [each.url for each in core.store.callbacks(task.id)] == ["https://example.org/done"]
    assert task.options["language"] == "fr"
    assert set(task.options["output_format"]) == {"txt", "srt"}
    assert "model" not in task.options


def test_a_priority_that_is_not_named_is_none(client: TestClient, core: Core, folder: str) -> None:
    """Asking again for an active task leaves its place in the queue; 0 puts it back among the others."""
    for body, expected in (({"priority": 3}, 3), ({}, 3), ({"priority": 0}, 0)):
        answer = client.post("/transcription", json={"dirname": folder} | body)
        assert core.store.task(answer.json()["task_id"]).priority == expected


def test_post_takes_every_option_that_whisper_toml_takes() -> None:
    """One list of options for both doors."""
    assert {*POST_NAMES} <= Submission.model_fields.keys()


def test_a_large_body_is_refused_by_its_declared_length(client: TestClient) -> None:
    """Before any of it is read."""
    read = 0

    def body() -> Iterator[bytes]:
        nonlocal read
        read += 1
        yield b"x"

    answer = client.post("/transcription", content=body(), headers={"content-length": str(MAX_BODY + 1)})
    assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)


def test_a_large_body_without_a_length_is_refused_when_it_has_grown_too_large(client: TestClient) -> None:
    """Chunked bodies declare nothing."""
    answer = client.post("/transcription", content=(b" " * 2**16 for _ in range(20)))
    assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)


@pytest.mark.parametrize("path", ["/transcription", "/transcription/x/retry"])
def test_nothing_is_accepted_while_the_service_stops(
    client: TestClient, core: Core, folder: str, path: str
) -> None:
    """503 with Retry-After."""
    core.draining = True
    try:
        answer = client.post(path, json={"dirname": folder})
    finally:
        core.draining = False
    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert int(answer.headers["retry-after"]) > 0


def test_a_task_is_cancelled_once(client: TestClient, submitted: Callable[..., dict[str, Any]]) -> None:
    """Cancelling what has ended is a conflict."""
    task_id = submitted("a.wav")["task_id"]
    assert client.delete(f"/transcription/{task_id}").json()["task_status"] == "cancelled"
    again = client.delete(f"/transcription/{task_id}")
    assert (again.status_code, again.headers["content-type"]) == (409, PROBLEM)


def test_a_cancelled_task_can_be_tried_again(
    client: TestClient, submitted: Callable[..., dict[str, Any]]
) -> None:
    """It is active again, with the same id."""
    task_id = submitted("a.wav")["task_id"]
    client.delete(f"/transcription/{task_id}")
    answer = client.post(f"/transcription/{task_id}/retry").json()
    assert (answer["task_id"], answer["task_status"]) == (task_id, "pending")


ODD_IDS = ["x", "0" * 32, "%00", "%ff", "..%2f..%2fetc", "\u00e9", "a b", "'; --", "9" * 4000, "%F0%9F%8E%A4"]


@pytest.mark.parametrize("task_id", ODD_IDS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/monitoring/{}"),
        ("DELETE", "/transcription/{}"),
        ("POST", "/transcription/{}/retry"),
        ("GET", "/transcription/{}/files/a.wav"),
    ],
)
def test_an_unknown_task_is_a_404_whatever_its_id_looks_like(
    client: TestClient, method: str, path: str, task_id: str
) -> None:
    """Never a 500."""
    answer = client.request(method, path.format(task_id))
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "https://public.example"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "http://testserver"}, 200),
        ({}, 200),
    ],
)
def test_a_page_of_another_origin_cannot_make_its_visitor_ask_for_anything(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    """The service has no keys by default, and listens where a browser can reach it."""
    assert client.post("/resume", headers=headers).status_code == status


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
field_names = st.sampled_from([*Submission.model_fields, "dirnam"]) | st.text(max_size=8)
bodies = (
    st.binary(max_size=60)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(field_names, json_values, max_size=4).map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {"dirname": st.text(max_size=12)}, optional={"language": st.text(max_size=6)}
    ).map(lambda value: json.dumps(value).encode())
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies)
def test_no_body_makes_the_service_stumble(client: TestClient, body: bytes) -> None:
    """Whatever is posted: taken, or refused in words."""
    answer = client.post("/transcription", content=body)
    assert answer.status_code in (200, 400, 404), answer.text
