"""Every route of the app is in the table of scopes, guarded, and open only where that was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from api.keys.guard import guard
from api.keys.key import Scope
from api.keys.scopes import NEEDED, OPEN, needed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI
    from fastapi.routing import RouteContext
    from fastapi.testclient import TestClient


def served(app: FastAPI) -> Iterator[tuple[str, RouteContext]]:
    """Yield all that the app answers: method and path, and the route."""
    for route in iter_route_contexts(app.routes):
        for method in (route.methods or set()) - {"HEAD"}:
            yield f"{method} {route.path_format}", route


def test_every_route_has_a_scope_and_every_scope_a_route(app: FastAPI) -> None:
    """A new route is closed to all but admin until api/keys/scopes.py says what it asks for."""
    assert {name for name, _ in served(app)} == NEEDED.keys()


def test_a_route_that_nobody_thought_of_is_closed() -> None:
    """Nothing is open by forgetting."""
    assert needed("GET", "/new") == Scope.ADMIN


def test_the_guard_stands_before_every_route_that_asks_for_a_key(app: FastAPI) -> None:
    """Also those that a router of its own brings; what is no FastAPI route has no guard and must be open."""
    for name, route in served(app):
        if isinstance(route.original_route, APIRoute):
            calls = [each.call for each in route.dependant.dependencies]
            assert guard in calls, name
        else:
            assert NEEDED[name] is OPEN, name


def test_the_guard_sees_the_path_that_the_table_names(app: FastAPI) -> None:
    """A prefix given where a router is included would be hidden from it."""
    for name, route in served(app):
        assert route.original_route.path_format == route.path_format, name


def test_no_route_reads_a_body_before_its_key_was_checked(app: FastAPI) -> None:
    """FastAPI reads declared bodies and forms first; ours are read by dependencies, which come after the guard."""
    assert [
        name
        for name, route in served(app)
        if isinstance(route.original_route, APIRoute) and route.original_route.body_field
    ] == []


@pytest.mark.parametrize("route", [name for name, scope in NEEDED.items() if scope is not OPEN])
def test_every_closed_route_refuses_who_shows_no_key(guarded: TestClient, route: str) -> None:
    """401, whatever else is wrong with the request."""
    method, path = route.split(" ")
    assert guarded.request(method, path.replace("{", "").replace("}", "")).status_code == 401


@pytest.mark.parametrize("route", [name for name, scope in NEEDED.items() if scope is not OPEN])
def test_every_closed_route_refuses_a_key_without_its_scope(
    guarded: TestClient, secrets: dict[Scope, str], route: str
) -> None:
    """403, for each of the other scopes."""
    method, path = route.split(" ")
    for scope in set(Scope) - {NEEDED[route]}:
        headers = {"X-API-Key": secrets[scope]}
        assert (
            guarded.request(method, path.replace("{", "").replace("}", ""), headers=headers).status_code
            == 403
        )
