"""Leases: who gets what, who may speak, how attempts end, what a new epoch finds."""

import threading
from collections.abc import Callable, Collection
from contextlib import nullcontext

import pytest
from sqlalchemy import delete, select, update

from pipeline.errors import IllegalTransitionError
from pipeline.queue.database import Database
from pipeline.queue.records import Lease
from pipeline.queue.rows import lease_of
from pipeline.queue.store import Outcome, TaskStore
from pipeline.queue.tables import attempt, file
from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem, Source, Task, TaskState

PROBLEM = Problem(code="read_failed", message="It could not be read.")
FINGERPRINT = Fingerprint(1, 1)
LEASED, COMMITTING = FileState.LEASED, FileState.COMMITTING

Add = Callable[..., MediaFile]
Speak = Callable[[TaskStore, Lease], object]


def commit(store: TaskStore, leased: MediaFile) -> MediaFile:
    begin_commit(store, lease_of(leased), leased.fingerprint)
    return store.finish_commit(lease_of(leased), outputs=["talks/a.txt"], warnings=["truncated"])


def begin_commit(store: TaskStore, lease: Lease, fingerprint: Fingerprint = FINGERPRINT) -> MediaFile:
    return store.begin_commit(
        lease,
        output_sha256="0",
        sha256="5",
        fingerprint=fingerprint,
        duration=9.0,
        language="fr",
    )


def checkpoint(store: TaskStore, lease: Lease, *starts: int, key: str = "k", position: float = 1.0) -> None:
    windows = [(start, b"window %d" % start) for start in starts]
    store.checkpoint(lease, windows, position=position, duration=60.0, language="fr", text_key=key)


# Everything that speaks for a lease, the states it may speak in, and where it leads.
SPEAKERS: dict[str, tuple[Speak, Collection[FileState], FileState]] = {
    "checkpoint": (lambda store, lease: checkpoint(store, lease, 0), {LEASED}, LEASED),
    "begin_commit": (begin_commit, {LEASED}, COMMITTING),
    "finish_commit": (
        lambda store, lease: store.finish_commit(lease, outputs=[], warnings=[]),
        {COMMITTING},
        FileState.DONE,
    ),
    "give_back": (TaskStore.give_back, {LEASED}, FileState.QUEUED),
    "unsettle": (TaskStore.unsettle, {LEASED}, FileState.SETTLING),
    "retry_later": (
        lambda store, lease: store.retry_later(lease, PROBLEM),
        {LEASED, COMMITTING},
        FileState.RETRY_WAIT,
    ),
    "fail": (lambda store, lease: store.fail(lease, PROBLEM), {LEASED, COMMITTING}, FileState.FAILED),
    "crashed": (lambda store, lease: store.crashed(lease, PROBLEM), {LEASED}, FileState.QUEUED),
    "gone": (TaskStore.gone, {LEASED}, FileState.SKIPPED),
}


@pytest.fixture
def leased(store: TaskStore, add: Add) -> MediaFile:
    add()
    (leased,) = store.lease("w", 1)
    return leased


def attempts(database: Database, file_id: int) -> list[tuple[int, Outcome | None]]:
    """Return token and outcome of each attempt."""
    by_token = select(attempt).where(attempt.c.file_id == file_id).order_by(attempt.c.token)
    with database.read() as connection:
        return [(row.token, row.outcome) for row in connection.execute(by_token)]


# ---- who gets what ----


def test_the_highest_priority_is_leased_first_then_the_oldest(store: TaskStore, add: Add) -> None:
    low, first, second = (add(b"talks/%d.mp3" % n, priority=priority) for n, priority in enumerate((0, 5, 5)))
    assert [each.id for each in store.lease("w", 3)] == [first.id, second.id, low.id]


def test_a_lease_counts_an_attempt_and_starts_the_task(
    store: TaskStore, task: Task, leased: MediaFile
) -> None:
    assert (leased.state, leased.epoch, leased.token, leased.attempts, leased.worker) == (
        LEASED,
        1,
        1,
        1,
        "w",
    )
    started = store.task(task.id)
    assert started
    assert started.state is TaskState.RUNNING
    assert started.started_at == leased.started_at


def test_a_path_that_is_held_waits(store: TaskStore, add: Add, leased: MediaFile) -> None:
    """The same path again, with other bytes: two stages never write the same outputs."""
    newer = add(size=2)
    assert store.lease("w", 1) == []
    commit(store, leased)
    assert [each.id for each in store.lease("w", 1)] == [newer.id]


def test_one_lease_never_holds_two_rows_of_a_path(store: TaskStore, add: Add, leased: MediaFile) -> None:
    add(size=2)
    store.give_back(lease_of(leased))
    assert [each.id for each in store.lease("w", 2)] == [leased.id]


def test_suspects_run_alone(store: TaskStore, add: Add, leased: MediaFile) -> None:
    suspect = store.crashed(lease_of(leased), PROBLEM)
    other = add(b"talks/b.mp3")
    assert [each.id for each in store.lease("w", 5, solo=False)] == [other.id]
    assert [each.id for each in store.lease("w", 5, solo=True)] == [suspect.id]


def test_stages_that_ask_at_once_get_different_files(store: TaskStore, add: Add) -> None:
    everything = {add(b"talks/%d.mp3" % number).id for number in range(12)}
    got: list[int] = []
    threads = [
        threading.Thread(target=lambda: got.extend(each.id for each in store.lease("w", 3))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(everything)


# ---- who may speak ----


@pytest.mark.parametrize("name", SPEAKERS)
def test_a_lease_speaks_only_in_the_states_it_may(
    store: TaskStore, database: Database, add: Add, name: str
) -> None:
    """Its epoch and token are the row's own: the state alone forbids."""
    speak, states, to = SPEAKERS[name]
    for state in FileState:
        file_id = add(b"talks/%s" % state.encode()).id
        (leased,) = store.lease("w", 1)
        forced = update(file).where(file.c.id == file_id).values(state=state)
        database.write(lambda connection, forced=forced: connection.execute(forced))
        with nullcontext() if state in states else pytest.raises(IllegalTransitionError):
            speak(store, lease_of(leased))
        after = store.file(file_id)
        assert after
        assert after.state is (to if state in states else state)
        database.write(lambda connection: connection.execute(delete(file)))


@pytest.mark.parametrize("name", SPEAKERS)
def test_an_old_lease_changes_nothing(store: TaskStore, leased: MediaFile, name: str) -> None:
    """The file was given back and leased again: the first stage wakes up and speaks."""
    store.give_back(lease_of(leased))
    (again,) = store.lease("another", 1)
    if name == "finish_commit":
        again = begin_commit(store, lease_of(again))
    with pytest.raises(IllegalTransitionError):
        SPEAKERS[name][0](store, lease_of(leased))
    assert store.file(leased.id) == again


@pytest.mark.parametrize("name", SPEAKERS)
def test_a_lease_of_an_old_epoch_changes_nothing(store: TaskStore, leased: MediaFile, name: str) -> None:
    store.open_epoch()
    with pytest.raises(IllegalTransitionError):
        SPEAKERS[name][0](store, lease_of(leased))


def test_a_lease_speaks_only_with_the_epoch_that_gave_it(store: TaskStore, leased: MediaFile) -> None:
    """As after a copy of the database was put back: the token alone may fit."""
    with pytest.raises(IllegalTransitionError):
        store.give_back(Lease(leased.epoch + 1, leased.token, leased.id))


# ---- how attempts end ----


def test_a_commit_ends_well(store: TaskStore, database: Database, leased: MediaFile) -> None:
    done = commit(store, leased)
    assert (done.outputs, done.warnings, done.language) == (("talks/a.txt",), ("truncated",), "fr")
    assert (done.position, done.duration) == (9.0, 9.0)
    assert done.finished_at
    assert attempts(database, leased.id) == [(1, Outcome.DONE)]


def test_a_commit_supersedes_what_was_done_of_the_path_before(
    store: TaskStore, add: Add, leased: MediaFile
) -> None:
    """And nothing before the new one is in place: the old output stays until then."""
    commit(store, leased)
    add(size=2)
    (again,) = store.lease("w", 1)
    assert [each.state for each in store.known(b"talks/a.mp3")[b"talks/a.mp3"]] == [FileState.DONE, LEASED]
    commit(store, again)
    assert [each.id for each in store.known(b"talks/a.mp3")[b"talks/a.mp3"]] == [again.id]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("give_back", (Outcome.RETURNED, 0)),
        ("unsettle", (Outcome.CHANGED, 0)),
        ("retry_later", (Outcome.RETRY, 1)),
        ("fail", (Outcome.FAILED, 1)),
        ("crashed", (Outcome.CRASHED, 1)),
        ("gone", (Outcome.GONE, 1)),
    ],
)
def test_each_end_is_remembered_and_charged_or_not(
    store: TaskStore, database: Database, leased: MediaFile, name: str, end: tuple[Outcome, int]
) -> None:
    SPEAKERS[name][0](store, lease_of(leased))
    outcome, charged = end
    assert attempts(database, leased.id) == [(1, outcome)]
    found = store.file(leased.id)
    assert found
    assert found.attempts == charged


def test_the_second_crash_quarantines(store: TaskStore, leased: MediaFile) -> None:
    assert store.crashed(lease_of(leased), PROBLEM).state is FileState.QUEUED
    (again,) = store.lease("w", 1)
    quarantined = store.crashed(lease_of(again), PROBLEM)
    assert (quarantined.state, quarantined.crashes) == (FileState.QUARANTINED, 2)
    assert quarantined.error == PROBLEM


def test_a_wait_ends_once(store: TaskStore, leased: MediaFile) -> None:
    store.retry_later(lease_of(leased), PROBLEM)
    store.retry_now([leased.id])
    with pytest.raises(IllegalTransitionError):
        store.retry_now([leased.id])
    store.retry_now([])


# ---- checkpoints ----


def test_windows_come_back_in_order_and_once(store: TaskStore, leased: MediaFile) -> None:
    checkpoint(store, lease_of(leased), 30, 0)
    checkpoint(store, lease_of(leased), 30, 60, position=42.0)
    assert store.windows(leased.id, "k") == [b"window 0", b"window 30", b"window 60"]
    found = store.file(leased.id)
    assert found
    assert (found.position, found.duration, found.language) == (42.0, 60.0, "fr")


def test_windows_outlive_a_crash_of_core_or_stage(store: TaskStore, leased: MediaFile) -> None:
    checkpoint(store, lease_of(leased), 0)
    store.open_epoch()
    (again,) = store.lease("w", 1)
    assert store.windows(again.id, "k") == [b"window 0"]
    store.crashed(lease_of(again), PROBLEM)
    assert store.windows(again.id, "k") == [b"window 0"]


def test_windows_of_other_options_are_forgotten(store: TaskStore, leased: MediaFile) -> None:
    checkpoint(store, lease_of(leased), 0)
    assert store.windows(leased.id, "other") == []
    assert store.windows(leased.id, "k") == []
    found = store.file(leased.id)
    assert found
    assert found.position == 0.0


@pytest.mark.parametrize("ending", [commit, lambda store, leased: store.unsettle(lease_of(leased))])
def test_windows_go_when_the_file_is_done_or_another_one(
    store: TaskStore, leased: MediaFile, ending: Callable[[TaskStore, MediaFile], object]
) -> None:
    checkpoint(store, lease_of(leased), 0)
    ending(store, leased)
    assert store.windows(leased.id, "k") == []


# ---- a new epoch ----


def test_a_new_epoch_queues_what_was_leased_uncharged(
    store: TaskStore, database: Database, leased: MediaFile
) -> None:
    assert store.open_epoch() == (2, [])
    found = store.file(leased.id)
    assert found
    assert (found.state, found.attempts) == (FileState.QUEUED, 0)
    assert attempts(database, leased.id) == [(1, Outcome.LOST)]
    (again,) = store.lease("w", 1)
    assert (again.epoch, again.token) == (2, 2)


def test_a_new_epoch_hands_over_what_was_committing(store: TaskStore, leased: MediaFile) -> None:
    """Recovery finishes the commit by the old lease, or queues the file again."""
    committing = begin_commit(store, lease_of(leased))
    assert store.open_epoch() == (2, [committing])
    assert commit_again(store, committing).state is FileState.DONE


def commit_again(store: TaskStore, committing: MediaFile) -> MediaFile:
    return store.finish_commit(lease_of(committing), outputs=[], warnings=[])


def test_a_commit_that_left_no_json_is_done_again_uncharged(store: TaskStore, leased: MediaFile) -> None:
    begin_commit(store, lease_of(leased))
    store.open_epoch()
    store.requeue_commit(leased.id)
    found = store.file(leased.id)
    assert found
    assert (found.state, found.attempts) == (FileState.QUEUED, 0)


def test_an_id_is_never_given_twice(store: TaskStore, add: Add, leased: MediaFile) -> None:
    """An old lease must not fit a new row."""
    store.give_back(lease_of(leased))
    store.forget(b"talks/a.mp3")
    (task, _) = store.open_task(b"talks", Source.API, {})
    assert add().id > leased.id
    assert task
