"""A browser shows its key once and carries a cookie from then on."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.keys import file
from api.keys.browsers import COOKIE, LIFE_S
from api.keys.key import Scope

if TYPE_CHECKING:
    from pathlib import Path

    from api.keys.ring import Ring
    from api.service import Core


def test_a_key_is_exchanged_for_a_cookie_that_opens_the_same_doors(
    guarded: TestClient, secrets: dict[Scope, str]
) -> None:
    """And no others."""
    answer = guarded.post("/login", json={"key": secrets[Scope.READ]})
    assert (answer.status_code, answer.json()) == (200, {"name": "read", "scopes": ["read"]})
    assert guarded.get("/monitoring").status_code == 200
    assert guarded.post("/pause").status_code == 403


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_cookie_is_no_scripts_and_no_other_sites(
    core: Core, ring: Ring, secrets: dict[Scope, str], scheme: str
) -> None:
    """HttpOnly, SameSite=Strict, below the prefix, for half a day; Secure where the browser came by TLS."""
    app = create_app(core, root_path="/whisper", keys=ring)
    client = TestClient(app, base_url=f"{scheme}://testserver")
    answer = client.post("/whisper/login", json={"key": secrets[Scope.READ]})
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/whisper")
    assert int(cookie["max-age"]) == LIFE_S
    assert bool(cookie["secure"]) is (scheme == "https")
    assert secrets[Scope.READ] not in answer.headers["set-cookie"]


def test_a_wrong_key_gets_no_cookie(guarded: TestClient) -> None:
    """401, as anywhere."""
    answer = guarded.post("/login", json={"key": "wt_" + "0" * 72})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("body", ["", "{}", '{"key": ""}', '{"key": 1}', '{"key": "a", "more": 1}', "[]"])
def test_what_shows_no_key_is_malformed(guarded: TestClient, body: str) -> None:
    """400."""
    assert guarded.post("/login", content=body).status_code == 400


def test_leaving_ends_it_for_copies_of_the_cookie_too(guarded: TestClient, secrets: dict[Scope, str]) -> None:
    """The service forgets it, and the browser is told to."""
    guarded.post("/login", json={"key": secrets[Scope.READ]})
    copy = {"Cookie": f"{COOKIE}={guarded.cookies[COOKIE]}"}
    assert guarded.post("/logout").status_code == 204
    assert COOKIE not in guarded.cookies
    assert guarded.get("/monitoring", headers=copy).status_code == 401


def test_revoking_the_key_ends_it(
    guarded: TestClient, secrets: dict[Scope, str], ring: Ring, path: Path
) -> None:
    """The cookie stands for the key, not for what it once allowed."""
    guarded.post("/login", json={"key": secrets[Scope.READ]})
    file.change(path, lambda _keys: ())
    ring.step(0.0)
    answer = guarded.get("/monitoring")
    assert answer.status_code == 401
    assert "logged out" in answer.json()["detail"]


def test_a_cookie_does_nothing_for_a_foreign_page(guarded: TestClient, secrets: dict[Scope, str]) -> None:
    """Where a browser sends it all the same (it should not: SameSite), the origin is refused."""
    guarded.post("/login", json={"key": secrets[Scope.ADMIN]})
    assert guarded.post("/pause", headers={"Origin": "https://evil.example"}).status_code == 403
    assert (
        guarded.post("/login", json={"key": "x"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    )


def test_a_service_without_keys_has_nothing_to_exchange(client: TestClient) -> None:
    """409, and leaving is no mistake."""
    assert client.post("/login", json={"key": "anything"}).status_code == 409
    assert client.post("/logout").status_code == 204
