"""The lanes: a share of everything in `make test`, all of it in `make hostile` (--at_length)."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import service  # noqa: F401 - a fixture


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take options where this directory is named on the command line; `make test` goes without."""
    parser.addoption("--at_length", action="store_true", help="every file, name and second there is")
    parser.addoption("--seconds", type=float, default=60.0, help="how long the mutations of recordings go on")
    parser.addoption("--seed", type=int, default=1, help="which mutations and names")


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker of what takes long."""
    config.addinivalue_line("markers", "at_length: only with --at_length (`make hostile`)")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it was asked for."""
    if not config.getoption("--at_length", default=False):
        long = [item for item in items if item.get_closest_marker("at_length")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)


@pytest.fixture(scope="session")
def at_length(pytestconfig: pytest.Config) -> bool:
    """Whether all of it was asked for."""
    return bool(pytestconfig.getoption("--at_length", default=False))


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """Which of all possible inputs."""
    return int(pytestconfig.getoption("--seed", default=1))
