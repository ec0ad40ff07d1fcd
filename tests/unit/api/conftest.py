"""The real core, built and not started: no process runs, its parts are stepped by the tests."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.service import Core
from pipeline.settings import Settings
from tests.unit.queue.conftest import database, shared, store  # noqa: F401 - a queue alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    core = Core(Settings(workdir=tmp_path_factory.mktemp("workdir"), quiet_seconds=0.0))
    yield core
    core.close()


@pytest.fixture(scope="session")
def root(core: Core) -> Path:
    return core.settings.workdir


@pytest.fixture(scope="session")
def client(core: Core) -> TestClient:
    return TestClient(create_app(core, root_path="/"), raise_server_exceptions=False)


@pytest.fixture
def folder(root: Path) -> str:
    """Return a new directory of the workdir that holds one recording."""
    return make_folder(root, "a.wav")


def make_folder(root: Path, *names: str) -> str:
    folder = root / f"talks{next(_numbers)}"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(f"sound of {folder.name}/{name}".encode())
    return folder.name


@pytest.fixture
def submitted(client: TestClient, root: Path) -> Callable[..., dict[str, Any]]:
    """Return a function that makes a directory of these recordings and submits it."""

    def submit(*names: str) -> dict[str, Any]:
        answer = client.post("/transcription", json={"dirname": make_folder(root, *names)})
        assert answer.status_code == 200, answer.text
        reference: dict[str, Any] = answer.json()
        return reference

    return submit
