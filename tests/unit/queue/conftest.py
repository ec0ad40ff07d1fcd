import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.queue.database import Database, open_database
from pipeline.queue.store import NewFile, TaskStore
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source, Task

TASK_DIRECTORY = b"talks"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate one database for all tests: each gets a copy."""
    path = tmp_path_factory.mktemp("migrated") / "queue.db"
    open_database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def database(tmp_path: Path, migrated: Path) -> Iterator[Database]:
    shutil.copyfile(migrated, tmp_path / "queue.db")
    database = open_database(f"sqlite:///{tmp_path}/queue.db")
    yield database
    database.close()


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
