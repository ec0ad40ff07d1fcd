"""Who may ask for what, by header or cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.keys import file
from api.keys.key import Scope
from api.problems import MEDIA_TYPE
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from httpx import Response

    from api.keys.ring import Ring
    from api.service import Core

DOORS = {
    Scope.READ: ("GET", "/monitoring"),
    Scope.WRITE: ("DELETE", "/transcription/x"),
    Scope.ADMIN: ("POST", "/resume"),
}


def shown(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def is_problem(answer: Response) -> bool:
    return answer.headers["content-type"] == MEDIA_TYPE and answer.json()["status"] == answer.status_code


def test_without_a_key_nothing_is_told(guarded: TestClient) -> None:
    """401 with the scheme that is asked for (RFC 9110, 11.6.1), and how a key is made."""
    answer = guarded.get("/monitoring")
    assert answer.status_code == 401
    assert is_problem(answer)
    assert answer.headers["www-authenticate"].startswith("Bearer realm=")
    assert "keys api add" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["Authorization", "authorization", "X-API-Key"])
def test_a_key_is_taken_from_either_header(
    guarded: TestClient, secrets: dict[Scope, str], header: str
) -> None:
    """The scheme's name in any case."""
    scheme = {"Authorization": "Bearer ", "authorization": "bearer ", "X-API-Key": ""}[header]
    assert guarded.get("/monitoring", headers={header: scheme + secrets[Scope.READ]}).status_code == 200


def test_a_key_in_the_address_is_none(guarded: TestClient, secrets: dict[Scope, str]) -> None:
    """Addresses end up in logs and histories."""
    secret = secrets[Scope.READ]
    for name in ("key", "api_key", "access_token", "token"):
        assert guarded.get("/monitoring", params={name: secret}).status_code == 401


@pytest.mark.parametrize("held", list(Scope))
@pytest.mark.parametrize("wanted", list(Scope))
def test_a_key_opens_the_doors_of_its_scopes_only(
    guarded: TestClient, secrets: dict[Scope, str], held: Scope, wanted: Scope
) -> None:
    """No scope includes another; 403 says which is lacking (RFC 6750, 3.1)."""
    answer = guarded.request(*DOORS[wanted], headers=shown(secrets[held]))
    if held == wanted:
        assert answer.status_code in (200, 404)
        return
    assert answer.status_code == 403
    assert is_problem(answer)
    assert f'error="insufficient_scope", scope="{wanted}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("secret", "said"), [("wt_" + "0" * 72, "not whole"), ("sk-1", "not whole"), ("\xff", "not whole")]
)
def test_a_wrong_key_is_refused_even_beside_a_good_one(
    guarded: TestClient, secrets: dict[Scope, str], secret: str, said: str
) -> None:
    """What is shown first counts; an answer never says how much of it was right."""
    headers = {
        b"Authorization": f"Bearer {secret}".encode("latin-1"),
        b"X-API-Key": secrets[Scope.READ].encode(),
    }
    answer = guarded.get("/monitoring", headers=headers)
    assert answer.status_code == 401
    assert said in answer.json()["detail"]
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_revoked_key_is_refused(
    guarded: TestClient, secrets: dict[Scope, str], ring: Ring, path: Path
) -> None:
    """As soon as the file was read again, and the answer says what may have happened."""
    assert guarded.get("/monitoring", headers=shown(secrets[Scope.READ])).status_code == 200
    file.change(path, lambda keys: tuple(key for key in keys if key.name != Scope.READ))
    ring.step(0.0)
    answer = guarded.get("/monitoring", headers=shown(secrets[Scope.READ]))
    assert answer.status_code == 401
    assert "revoked" in answer.json()["detail"]


def test_a_head_needs_the_key_that_get_needs(guarded: TestClient) -> None:
    """What it tells is what GET would tell."""
    assert [guarded.head(path).status_code for path in ("/monitoring", "/healthz")] == [401, 200]


def test_a_body_is_not_read_before_the_key_is_checked(guarded: TestClient) -> None:
    """A megabyte that would be refused for itself is refused for the missing key."""
    assert guarded.post("/transcription", content=b"[" * 2**20).status_code == 401


def test_probes_need_no_key_and_are_told_no_more_than_they_need(
    guarded: TestClient, secrets: dict[Scope, str]
) -> None:
    """Alive, and ready or not; where things lie and why they fail is for those with a key."""
    assert guarded.get("/healthz").status_code == 200
    answer = guarded.get("/readyz")
    assert answer.status_code == 503
    assert answer.json().keys() == {"type", "title", "status", "detail", "code"}
    assert "stage" not in answer.json()["detail"]
    told = guarded.get("/readyz", headers=shown(secrets[Scope.READ])).json()
    assert "stage" in told["detail"]
    assert told["keys"]["notes"] == []


def test_an_address_that_nothing_is_served_at_needs_no_key(guarded: TestClient) -> None:
    """404 as ever: it tells nothing."""
    assert guarded.get("/nowhere").status_code == 404


def test_without_a_file_of_keys_nobody_is_asked(client: TestClient) -> None:
    """And a key that somebody's client sends all the same does no harm."""
    assert client.get("/monitoring").status_code == 200
    assert client.get("/monitoring", headers=shown("sk-anything")).status_code == 200


def test_the_page_shows_how_to_show_a_key(guarded: TestClient, client: TestClient) -> None:
    """Header, the other header or cookie where one is asked for; nothing where none is."""
    page = guarded.get("/openapi.json").json()
    assert page["paths"]["/pause"]["post"]["security"] == [{"bearer": []}, {"header": []}, {"cookie": []}]
    assert page["components"]["securitySchemes"].keys() == {"bearer", "header", "cookie"}
    assert "security" not in page["paths"]["/healthz"]["get"]
    assert "security" not in client.get("/openapi.json").text


def test_guesses_are_counted_by_address_and_keys_by_themselves(
    core: Core, ring: Ring, secrets: dict[Scope, str]
) -> None:
    """Who tries keys is soon told to wait; who has one is not, from the same address."""
    client = TestClient(
        create_app(core, root_path="/", keys=ring, settings=Settings(rate_limit="3/hour")),
        raise_server_exceptions=False,
    )
    guesses = [client.get("/monitoring", headers=shown(f"wt_{number:072x}")) for number in range(5)]
    assert [answer.status_code for answer in guesses] == [401, 401, 401, 429, 429]
    assert int(guesses[-1].headers["retry-after"]) > 0
    known = [client.get("/monitoring", headers=shown(secrets[Scope.READ])).status_code for _ in range(4)]
    assert known == [200, 200, 200, 429]
    assert client.post("/resume", headers=shown(secrets[Scope.ADMIN])).status_code == 200
