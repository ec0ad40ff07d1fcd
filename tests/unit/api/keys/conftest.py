"""The real app with a real file of keys in front of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.keys import file
from api.keys.key import Scope, new_key
from api.keys.ring import Ring

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from api.service import Core

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file without keys."""
    file.create(tmp_path / "keys.json")
    return tmp_path / "keys.json"


@pytest.fixture
def secrets(path: Path) -> dict[Scope, str]:
    """Return the secret of a key for each scope and nothing else."""
    made = {scope: new_key(scope, {scope}, NOW) for scope in Scope}
    file.change(path, lambda _known: tuple(key for key, _ in made.values()))
    return {scope: secret for scope, (_, secret) in made.items()}


@pytest.fixture
def ring(path: Path, secrets: dict[Scope, str]) -> Ring:
    assert secrets
    return Ring(path)


@pytest.fixture
def app(core: Core, ring: Ring) -> FastAPI:
    return create_app(core, root_path="/", keys=ring)


@pytest.fixture
def guarded(app: FastAPI) -> TestClient:
    """Return a client that has shown nothing yet."""
    return TestClient(app, raise_server_exceptions=False)
