"""Recordings that a client waits for: before all others, and seen by nobody else."""

from collections.abc import Callable

import pytest

from pipeline.errors import IllegalTransitionError
from pipeline.queue.records import Lease
from pipeline.queue.rows import lease_of
from pipeline.queue.store import TaskStore
from pipeline.spool import PRIORITY, spooled_path
from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem, Source, TaskState

PATH = spooled_path("ab12")
SIZE = Fingerprint(7, 8)


@pytest.fixture
def spooled(store: TaskStore) -> MediaFile:
    return store.admit(PATH, SIZE, {"language": "fr"})


def test_it_goes_before_all_others(store: TaskStore, add: Callable[..., MediaFile]) -> None:
    """Above the highest priority that anybody may ask for, in the order in which they came."""
    add(priority=PRIORITY - 1)
    first, second = store.admit(PATH, SIZE, {}), store.admit(spooled_path("cd34"), SIZE, {})
    assert [each.id for each in store.lease("w", 2)] == [first.id, second.id]


def test_it_can_be_leased_alone(store: TaskStore, add: Callable[..., MediaFile], spooled: MediaFile) -> None:
    add(priority=PRIORITY - 1)
    (leased,) = store.lease("w", 5, urgent=True)
    assert (leased.path, leased.options, leased.fingerprint) == (PATH, {"language": "fr"}, SIZE)
    assert leased.id == spooled.id
    assert store.lease("w", 5, urgent=True) == []


@pytest.mark.usefixtures("spooled")
def test_nothing_shows_it(store: TaskStore) -> None:
    """Not as it is queued, leased, moved on or failed; by its ids alone."""
    (leased,) = store.lease("w", 1)
    store.checkpoint(lease_of(leased), [(0, b"w")], position=1.0, duration=2.0, language="fr", text_key="key")
    store.fail(lease_of(leased), Problem(code="corrupt", message="x"))
    assert store.tasks().rows == ()
    assert store.tasks(states=TaskState).rows == ()
    assert store.active_dirnames() == {}
    assert store.in_state(*FileState) == []
    assert store.known(b".") == {}
    assert store.changed_since(0) == []
    assert store.task(leased.task_id)
    failed = store.file(leased.id)
    assert failed
    assert failed.error == Problem(code="corrupt", message="x")


def test_nothing_takes_it_along(store: TaskStore, spooled: MediaFile) -> None:
    """Not even who asks for all there is."""
    store.open_task(b".", Source.API, {"language": "de"}, priority=3, along=True)
    assert store.file(spooled.id) == spooled


@pytest.mark.parametrize("path", [b".", b".whisper", b".whisper/spool", PATH])
def test_nothing_forgets_it(store: TaskStore, spooled: MediaFile, path: bytes) -> None:
    """Its client waits."""
    assert store.forget(path) == []
    assert store.file(spooled.id) == spooled


@pytest.mark.usefixtures("spooled")
def test_it_goes_without_a_trace_and_its_lease_with_it(store: TaskStore) -> None:
    (leased,) = store.lease("w", 1)
    assert store.withdraw(PATH) == [leased]
    assert store.withdraw(PATH) == []
    assert store.spooled() == []
    assert (store.task(leased.task_id), store.file(leased.id)) == (None, None)
    assert store.windows(leased.id, "key") == []
    with pytest.raises(IllegalTransitionError):
        store.give_back(lease_of(leased))


@pytest.mark.usefixtures("spooled")
def test_a_new_core_finds_what_an_old_one_left(store: TaskStore, add: Callable[..., MediaFile]) -> None:
    """To sweep it."""
    add()
    store.lease("w", 1)
    assert store.open_epoch()[1] == []
    assert store.spooled() == [PATH]


def test_a_lease_that_was_withdrawn_speaks_for_nobody(store: TaskStore, spooled: MediaFile) -> None:
    (leased,) = store.lease("w", 1)
    store.withdraw(PATH)
    store.admit(PATH, SIZE, {})
    with pytest.raises(IllegalTransitionError):
        store.retry_later(Lease(leased.epoch, leased.token, spooled.id), Problem(code="x", message="x"))
