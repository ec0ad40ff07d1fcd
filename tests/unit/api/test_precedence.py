"""Those who ask go first: the core hears of each request."""

from fastapi.testclient import TestClient

from api.service import Core


def test_a_request_claims_the_precedence_of_those_who_ask(client: TestClient, core: Core) -> None:
    """That it is claimed for a moment only is for the clock of test_pace.py."""
    before = core.precedence._asked_at
    client.get("/healthz")
    assert core.precedence._asked_at > before
