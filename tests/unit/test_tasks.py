"""The table of transitions, alone and as the queue enforces it."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from pipeline.errors import IllegalTransitionError
from pipeline.queue.changes import Change
from pipeline.queue.database import Database, open_database
from pipeline.queue.store import NewFile, TaskStore
from pipeline.tasks import (
    ENDED,
    OPEN,
    TRANSITIONS,
    FileState,
    Fingerprint,
    Source,
    TaskState,
    display,
    ended_task_state,
    predecessors,
)

REPOSITORY = Path(__file__).parents[2]
ENTRIES = (FileState.SETTLING, FileState.QUEUED, FileState.FAILED, FileState.SKIPPED)  # what add_files takes
PAIRS = list(itertools.product(FileState, FileState))


def way_to(state: FileState) -> list[FileState]:
    """Return the shortest way through TRANSITIONS from an entry to this state."""
    ways = {entry: [entry] for entry in ENTRIES}
    frontier = list(ENTRIES)
    for before in frontier:
        for after in sorted(TRANSITIONS[before] - ways.keys()):
            ways[after] = [*ways[before], after]
            frontier.append(after)
    return ways[state]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('states')}/queue.db")
    yield database
    database.close()


@pytest.mark.parametrize("state", FileState)
def test_every_state_is_reached_from_an_entry(state: FileState) -> None:
    assert way_to(state)[-1] is state


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_queue_allows_exactly_the_pairs_of_the_table(
    database: Database, before: FileState, after: FileState
) -> None:
    """A row is led to `before` by allowed steps, then asked for `after`."""
    store = TaskStore(database)
    task, _ = store.open_task(b"talks", Source.API, {})
    path = f"talks/{before} to {after}.mp3".encode()
    entry, *steps = way_to(before)
    (file,) = store.add_files(
        task.id, [NewFile(path=path, fingerprint=Fingerprint(1, 1), state=entry, options={})]
    )

    def walk(connection: Connection) -> bool:
        change = Change(connection, 1.0)
        for step in steps:
            change.by_id([file.id], step)
        try:
            (moved,) = change.by_id([file.id], after)
        except IllegalTransitionError:
            return False
        return moved.state is after

    assert database.write(walk) == (after in TRANSITIONS[before])


def test_predecessors_are_the_table_read_backwards() -> None:
    assert {(b, a) for a in FileState for b in predecessors(a)} == {
        (b, a) for b in FileState for a in TRANSITIONS[b]
    }


def test_a_state_is_open_or_ended() -> None:
    assert set(FileState) == OPEN | ENDED
    assert not OPEN & ENDED


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({FileState.DONE: 2, FileState.SKIPPED: 1}, TaskState.COMPLETED),
        ({FileState.SKIPPED: 1}, TaskState.COMPLETED),
        ({FileState.DONE: 1, FileState.QUARANTINED: 1}, TaskState.PARTIAL),
        ({FileState.DONE: 1, FileState.CANCELLED: 4, FileState.SUPERSEDED: 4}, TaskState.COMPLETED),
        ({FileState.FAILED: 1}, TaskState.FAILED),
        ({}, TaskState.FAILED),
    ],
)
def test_a_task_ends_as_its_files_did(counts: dict[FileState, int], state: TaskState) -> None:
    assert ended_task_state(counts) is state


def test_any_path_can_be_shown_as_text() -> None:
    assert display("été/\n%".encode() + b"\xff") == "été/\n%\\xff"


def test_the_diagram_in_the_docs_shows_the_table() -> None:
    """After a change of TRANSITIONS: python scripts/states.py > docs/states.md."""
    drawn = subprocess.run(
        [sys.executable, "scripts/states.py"], cwd=REPOSITORY, capture_output=True, check=True
    )
    assert (REPOSITORY / "docs/states.md").read_bytes() == drawn.stdout
