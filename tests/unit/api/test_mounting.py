"""The prefix: one form of it, routes with and without it, URLs that carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.mounting import normalise

if TYPE_CHECKING:
    from api.service import Core


@pytest.mark.parametrize(
    ("given", "expected"),
    [("/", ""), ("", ""), ("api", "/api"), ("/api/", "/api"), ("//api", "/api"), ("a/b/", "/a/b")],
)
def test_every_spelling_of_a_prefix_becomes_one(given: str, expected: str) -> None:
    """A leading or trailing slash makes no difference."""
    assert normalise(given) == expected


@pytest.fixture(scope="module", params=["/api", "/a/b", "/transcription", "/monitoring", "/", "/é"])
def prefix(request: pytest.FixtureRequest) -> str:
    return normalise(request.param)


@pytest.fixture(scope="module")
def mounted(core: Core, prefix: str) -> TestClient:
    return TestClient(
        create_app(core, root_path=prefix), raise_server_exceptions=False, follow_redirects=False
    )


@pytest.mark.parametrize("stripped", [True, False])
def test_every_route_answers_whether_or_not_the_proxy_strips_the_prefix(
    mounted: TestClient, prefix: str, folder: str, *, stripped: bool
) -> None:
    """Even under a prefix that is called like a route."""
    asked = "" if stripped else prefix
    answer = mounted.post(f"{asked}/transcription", json={"dirname": folder})
    assert answer.status_code == 200
    url = answer.json()["monitoring_url"]
    assert answer.headers["location"] == url
    assert mounted.get(url).json()["dirname"] == folder
    task_id = answer.json()["task_id"]
    assert mounted.get(f"{asked}/monitoring/{task_id}").status_code == 200
    assert mounted.get(f"{asked}/monitoring").status_code == 200
    assert mounted.get(f"{asked}/openapi.json").json()["paths"].keys() >= {"/transcription", "/monitoring"}
    assert mounted.delete(f"{asked}/transcription/{task_id}").json()["task_status"] == "cancelled"


def test_urls_in_answers_are_path_absolute_and_quoted(core: Core, folder: str) -> None:
    """A client can put them behind the host it already talks to."""
    client = TestClient(create_app(core, root_path="/é"))
    answer = client.post("/transcription", json={"dirname": folder}).json()
    assert answer["monitoring_url"] == f"/%C3%A9/monitoring/{answer['task_id']}"


def test_the_docs_page_loads_the_schema_from_below_the_prefix(core: Core) -> None:
    """The page at /api/docs asks for /api/openapi.json, whose server is /api."""
    client = TestClient(create_app(core, root_path="api"))
    assert "'/api/openapi.json'" in client.get("/docs").text
    assert client.get("/api/openapi.json").json()["servers"] == [{"url": "/api"}]


@pytest.mark.parametrize("path", ["/api", "/api/", "/"])
def test_the_front_door_leads_to_the_docs(core: Core, path: str) -> None:
    """By a path-absolute redirect, whatever host and scheme the proxy was asked for."""
    client = TestClient(create_app(core, root_path="api"), follow_redirects=False)
    answer = client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (307, "/api/docs")


def test_a_path_that_only_begins_like_the_prefix_is_not_below_it(core: Core) -> None:
    """/apihealthz is not /api + /healthz."""
    client = TestClient(create_app(core, root_path="api"))
    assert client.get("/apihealthz").status_code == 404


def test_a_trailing_slash_makes_no_difference(client: TestClient) -> None:
    """No redirect, which would lose the body or the proxy's scheme."""
    assert client.get("/healthz/").status_code == 200
