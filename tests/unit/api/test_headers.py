"""What browsers are told about our answers, and which pages may ask."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.headers import SAFE, parse_origins
from pipeline.errors import BadOptionsError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from api.service import Core

FRIEND, FOE = "https://friend.example", "https://foe.example"


@pytest.fixture(scope="module")
def shared(core: Core) -> TestClient:
    """Return a client of an app that shares its answers with one origin."""
    return TestClient(
        create_app(core, root_path="/", settings=Settings(cors_origins=f"{FRIEND}/, http://[::1]:3000"))
    )


@pytest.mark.parametrize(
    "path", ["/healthz", "/monitoring", "/nowhere", "/monitoring?limit=x", "/docs", "/openapi.json"]
)
def test_every_answer_tells_browsers_what_not_to_do(client: TestClient, path: str) -> None:
    """Refusals and pages too."""
    headers = client.get(path).headers
    assert [name for name in SAFE if name not in headers] == []
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_answers_may_run_nothing_and_the_page_only_its_own(client: TestClient) -> None:
    """No 'unsafe-inline' for scripts: the page's own is named by its hash."""
    assert client.get("/healthz").headers["content-security-policy"].startswith("default-src 'none'")
    page = client.get("/docs")
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (scripts,) = re.findall(r"script-src ([^;]*);", page.headers["content-security-policy"])
    assert scripts == f"'self' 'sha256-{digest}'"


def test_transcripts_stay_out_of_caches_and_the_pages_parts_do_not(client: TestClient) -> None:
    """What a route says itself stands."""
    assert client.get("/monitoring").headers["cache-control"] == "no-store"
    assert client.get("/docs/swagger-ui.css").headers["cache-control"] == "max-age=86400"


def test_without_origins_no_other_page_is_answered(client: TestClient) -> None:
    """CORS is off: neither a preflight nor an answer names an origin."""
    asked = client.options(
        "/transcription", headers={"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    )
    assert asked.status_code == 405
    told = client.get("/monitoring", headers={"Origin": FRIEND})
    assert not any(name.startswith("access-control") for name in (*asked.headers, *told.headers))
    assert client.post("/rescan", headers={"Origin": FRIEND}).status_code == 403


def test_the_pages_of_named_origins_may_ask(shared: TestClient) -> None:
    """With a key in a header and a body of JSON, which a browser asks about first; cookies are not asked for."""
    asked = shared.options(
        "/transcription",
        headers={
            "Origin": FRIEND,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        },
    )
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, FRIEND)
    assert "access-control-allow-credentials" not in asked.headers
    told = shared.post("/rescan", headers={"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"})
    assert (told.status_code, told.headers["access-control-allow-origin"]) == (200, FRIEND)
    assert "retry-after" in told.headers["access-control-expose-headers"].lower()


def test_the_pages_of_other_origins_may_not(shared: TestClient) -> None:
    """Neither asked about first nor at once."""
    asked = shared.options("/transcription", headers={"Origin": FOE, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 400
    told = shared.post("/rescan", headers={"Origin": FOE, "Sec-Fetch-Site": "cross-site"})
    assert told.status_code == 403
    assert "access-control-allow-origin" not in told.headers


def test_a_star_shares_with_every_page(core: Core) -> None:
    """Whoever runs the service said so."""
    client = TestClient(create_app(core, root_path="/", settings=Settings(cors_origins="*")))
    told = client.post("/rescan", headers={"Origin": FOE, "Sec-Fetch-Site": "cross-site"})
    assert (told.status_code, told.headers["access-control-allow-origin"]) == (200, "*")


@pytest.mark.parametrize(
    "text", ["example.org", "https://example.org/app", "https://", "null", "https://a b", "https://x:port"]
)
def test_what_is_no_origin_is_refused_at_start(text: str) -> None:
    """A browser would never send it: better said than never matched."""
    with pytest.raises(BadOptionsError, match="cors_origins"):
        parse_origins(text)


def test_origins_are_compared_as_browsers_spell_them() -> None:
    """In small letters, without a slash."""
    assert parse_origins(" HTTPS://Example.org/ ,http://localhost:3000,") == (
        "https://example.org",
        "http://localhost:3000",
    )


def test_the_documentation_can_be_switched_off(core: Core) -> None:
    """Page, schema and the way there."""
    client = TestClient(create_app(core, root_path="/", settings=Settings(docs=False)))
    assert [
        client.get(path).status_code for path in ("/", "/docs", "/docs/swagger-ui.css", "/openapi.json")
    ] == [404] * 4
    assert client.get("/healthz").status_code == 200
