"""A stage that was stopped past its lease wakes up and speaks, while the one that has the file now does its work.

The figure in the docs: ZOMBIE_TRIALS=500 make test ARGS=tests/integration/queue/test_fence.py
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from pipeline.errors import IllegalTransitionError
from pipeline.queue import lock, postgres_server, sqlite
from pipeline.queue.database import Database, open_database
from pipeline.queue.records import Lease, NewFile
from pipeline.queue.rows import lease_of
from pipeline.queue.sqlite import DELETE, WAL
from pipeline.queue.store import TaskStore
from pipeline.queue.tables import checkpoint
from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem, Source

TRIALS = int(os.environ.get("ZOMBIE_TRIALS", "50"))
SEED = 4
PROBLEM = Problem(code="stalled", message="It made no progress.")
ONE = Fingerprint(1, 1)

Speak = Callable[[TaskStore, Lease, str], object]


def keep(store: TaskStore, lease: Lease, who: str) -> None:
    windows = [(0, who.encode())]
    store.checkpoint(lease, windows, position=1.0, duration=2.0, language=None, text_key="k")


def begin(store: TaskStore, lease: Lease, who: str) -> None:
    store.begin_commit(
        lease, output_sha256=who, sha256="", fingerprint=ONE, duration=2.0, language=None
    )  # fmt: skip


def finish(store: TaskStore, lease: Lease, who: str) -> None:
    store.finish_commit(lease, outputs=[who], warnings=[])


WORK: list[Speak] = [keep, keep, begin, finish]
WORDS: list[Speak] = [
    *WORK,
    lambda store, lease, _: store.give_back(lease),
    lambda store, lease, _: store.retry_later(lease, PROBLEM),
    lambda store, lease, _: store.fail(lease, PROBLEM),
    lambda store, lease, _: store.crashed(lease, PROBLEM),
    lambda store, lease, _: store.gone(lease),
    lambda store, lease, _: store.unsettle(lease),
]


def retried(store: TaskStore, lease: Lease) -> None:
    store.retry_later(lease, PROBLEM)
    store.retry_now([lease.file_id])


ENDS: list[Callable[[TaskStore, Lease], object]] = [
    TaskStore.give_back,
    retried,
    lambda store, lease: store.crashed(lease, PROBLEM),
    lambda store, _lease: store.open_epoch(),
]


@pytest.fixture(params=[DELETE, WAL, "PostgreSQL"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an empty queue of each kind, without the lock that allows one core only."""
    if request.param == "PostgreSQL":
        monkeypatch.setattr(postgres_server, "LOCK", "SELECT true")
        made: str = request.getfixturevalue("new_url")()
        return made
    monkeypatch.setattr(sqlite, "journal_for", lambda _version: (request.param, None))
    monkeypatch.setattr(lock, "take", lambda _path: os.open(os.devnull, os.O_RDONLY))
    return f"sqlite:///{tmp_path}/queue.db"


@pytest.fixture
def two(url: str) -> Iterator[tuple[Database, Database]]:
    """Open the queue twice, so that the two speak in transactions of their own."""
    databases = open_database(url), open_database(url)
    yield databases
    for each in databases:
        each.close()


def pass_on(
    store: TaskStore, number: int, end: Callable[[TaskStore, Lease], object]
) -> tuple[Lease, MediaFile]:
    """Lease a new file, end that lease and lease it again; return the first lease and the file as it is now."""
    task, _ = store.open_task(b"talks", Source.API, {})
    new = NewFile(path=b"talks/%d" % number, fingerprint=ONE, state=FileState.QUEUED, options={})
    store.add_files(task.id, [new])
    (first,) = store.lease("zombie", 1)
    end(store, lease_of(first))
    (again,) = store.lease("living", 1)
    assert again.id == first.id
    return lease_of(first), again


def speak(store: TaskStore, lease: Lease, words: list[Speak], who: str) -> int:
    """Say all of it; return how much was refused."""
    refused = 0
    for say in words:
        try:
            say(store, lease, who)
        except IllegalTransitionError:
            refused += 1
    return refused


def test_a_zombies_words_are_refused_always(two: tuple[Database, Database]) -> None:
    choose = random.Random(SEED)  # noqa: S311 - a seed to replay
    living, undead = map(TaskStore, two)
    living.open_epoch()
    for number in range(TRIALS):
        stale, held = pass_on(living, number, choose.choice(ENDS))
        words = choose.choices(WORDS, k=6)
        refused: list[int] = []
        zombie = threading.Thread(
            target=lambda stale=stale, words=words, refused=refused: refused.append(
                speak(undead, stale, words, "zombie")
            )
        )
        zombie.start()
        assert speak(living, lease_of(held), WORK, "living") == 0
        zombie.join(30)
        assert refused == [len(words)], f"trial {number}"
        done = living.file(held.id)
        assert done
        assert (done.state, done.outputs, done.output_sha256) == (FileState.DONE, ("living",), "living")
    with two[0].read() as connection:
        assert connection.execute(select(checkpoint)).all() == []
