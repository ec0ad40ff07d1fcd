"""The queue on a real PostgreSQL server that the tests start."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from pipeline.queue.database import Database, open_database
from pipeline.queue.store import TaskStore
from tests.postgres import Cluster
from tests.unit.queue.conftest import add, database, store, task  # noqa: F401 - the same contract
from tests.unit.queue.test_migrate import later  # noqa: F401 - a second migration


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Start a server for all tests of this process."""
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def new_url(cluster: Cluster) -> Callable[[], str]:
    """Return a maker of empty databases, each by its URL."""
    numbers = itertools.count()
    return lambda: cluster.create(f"queue{next(numbers)}")


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
def core(url: str) -> Iterator[Database]:
    """Open the queue as a core that has begun its epoch."""
    opened = open_database(url)
    TaskStore(opened).open_epoch()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared(new_url: Callable[[], str]) -> Iterator[Database]:
    """Open one database for all tests of the contract: SQLAlchemy compiles each statement once."""
    opened = open_database(new_url())
    yield opened
    opened.close()
