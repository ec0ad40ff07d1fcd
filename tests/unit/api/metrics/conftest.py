"""A queue whose changes are counted, and a clock that goes when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from api.metrics.flow import Flow
from pipeline.queue.database import open_database
from pipeline.queue.store import NewFile, TaskStore
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source


class Clock:
    """Seconds, which go when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def store(tmp_path: Path, registry: CollectorRegistry, clock: Clock) -> Iterator[TaskStore]:
    database = open_database(f"sqlite:///{tmp_path}/queue.db")
    store = TaskStore(database, clock, listeners=(Flow(registry).hear,))
    store.open_epoch()
    yield store
    database.close()


@pytest.fixture
def add(store: TaskStore) -> Callable[..., MediaFile]:
    """Add one file: `add(b"talks/a.mp3", state=FileState.SETTLING)`."""
    task = store.open_task(b"talks", Source.WATCH, {})[0]

    def add_one(path: bytes = b"talks/a.mp3", state: FileState = FileState.QUEUED) -> MediaFile:
        new = NewFile(path=path, fingerprint=Fingerprint(1, 1), state=state, options={})
        return store.add_files(task.id, [new])[0]

    return add_one
