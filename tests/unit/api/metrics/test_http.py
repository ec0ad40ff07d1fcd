"""Answers are counted by route template, whoever made them."""

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from api.metrics.http import Measured, Requests
from api.mounting import Mounted
from tests.unit.api.metrics.conftest import Clock

LATENCY = "http_request_duration_seconds"


@pytest.fixture
def client(registry: CollectorRegistry, clock: Clock) -> Iterator[TestClient]:
    """Ask an app of a few routes below a prefix."""
    router = APIRouter(prefix="/talks")

    @router.get("/{talk}/files/{path:path}")
    async def file(talk: str, path: str) -> str:
        clock.now += 0.2
        return talk + path

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            for _ in range(3):
                clock.now += 100
                yield "."

        return StreamingResponse(pieces())

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(Mounted, prefix="/whisper")
    app.add_middleware(Measured, clock=clock)
    app.state.core = SimpleNamespace(figures=SimpleNamespace(requests=Requests(registry)))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def answers(registry: CollectorRegistry, method: str, route: str, status: int) -> float | None:
    return registry.get_sample_value(
        "http_requests_total", {"method": method, "route": route, "status": str(status)}
    )


@pytest.mark.parametrize("prefix", ["", "/whisper"])
def test_requests_are_counted_by_the_template_of_their_route(
    client: TestClient, registry: CollectorRegistry, prefix: str
) -> None:
    """Never by the path, which has as many values as there are files; the mounting prefix is no part of it."""
    for name in ("a.mp3", "b/c.mp3"):
        assert client.get(f"{prefix}/talks/1/files/{name}").status_code == 200
    template = "/talks/{talk}/files/{path}"
    assert answers(registry, "GET", template, 200) == 2
    assert registry.get_sample_value(f"{LATENCY}_sum", {"method": "GET", "route": template}) == pytest.approx(
        0.4
    )


def test_whoever_probes_makes_no_series(client: TestClient, registry: CollectorRegistry) -> None:
    """Paths and methods that nobody serves are one each."""
    for number in range(3):
        client.request(f"BREW{number}", f"/tea{number}")
    assert answers(registry, "other", "unmatched", 404) == 3


def test_a_method_that_the_route_does_not_know_is_counted_there(
    client: TestClient, registry: CollectorRegistry
) -> None:
    """405 is an answer of that route."""
    client.post("/talks/1/files/a.mp3")
    assert answers(registry, "POST", "/talks/{talk}/files/{path}", 405) == 1


def test_a_route_that_raised_is_a_500(client: TestClient, registry: CollectorRegistry) -> None:
    """Starlette makes that answer outside of every middleware."""
    client.get("/talks/broken")
    assert answers(registry, "GET", "/talks/broken", 500) == 1


def test_a_stream_is_measured_until_it_begins(client: TestClient, registry: CollectorRegistry) -> None:
    """Who follows events for an hour did not wait for an hour."""
    client.get("/talks/stream")
    assert answers(registry, "GET", "/talks/stream", 200) == 1
    assert registry.get_sample_value(f"{LATENCY}_sum", {"method": "GET", "route": "/talks/stream"}) == 0
