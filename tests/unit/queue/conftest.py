import itertools
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection

from pipeline.queue import sqlite
from pipeline.queue.database import Database, open_database
from pipeline.queue.sqlite import DELETE, WAL
from pipeline.queue.store import NewFile, TaskStore
from pipeline.queue.tables import metadata
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source, Task

TASK_DIRECTORY = b"talks"


@pytest.fixture(scope="session", params=[DELETE, WAL])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Open one database for all tests, in each journal mode: SQLAlchemy compiles each statement once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "journal_for", lambda _version: (request.param, None))
        database = open_database(f"sqlite:///{tmp_path_factory.mktemp('queue')}/queue.db")
    yield database
    database.close()


@pytest.fixture
def database(shared: Database) -> Database:
    """Empty the database."""

    def empty(connection: Connection) -> None:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())

    shared.write(empty)
    return shared


@pytest.fixture
def store(database: Database) -> TaskStore:
    """Begin the first epoch of a queue whose clock ticks a second a transaction."""
    store = TaskStore(database, itertools.count(1000.0).__next__)
    store.open_epoch()
    return store


@pytest.fixture
def task(store: TaskStore) -> Task:
    return store.open_task(TASK_DIRECTORY, Source.WATCH, {})[0]


@pytest.fixture
def add(store: TaskStore, task: Task) -> Callable[..., MediaFile]:
    """Add one file to the task and return it: `add(b"talks/a.mp3", size=2, priority=1)`."""

    def add_one(path: bytes = b"talks/a.mp3", size: int = 1, **values: object) -> MediaFile:
        given = {"state": FileState.QUEUED, "options": {}} | values
        new = NewFile(path=path, fingerprint=Fingerprint(size, 1), **given)  # type: ignore[arg-type]
        (added,) = store.add_files(task.id, [new])
        return added

    return add_one
