"""Whole tasks: how they end, are cancelled, tried again, forgotten."""

from collections.abc import Callable

import pytest

from pipeline.errors import ConflictError, IllegalTransitionError, NotFoundError
from pipeline.queue.rows import lease_of
from pipeline.queue.store import TaskStore
from pipeline.tasks import FileState, MediaFile, Problem, Source, Task, TaskState

Add = Callable[..., MediaFile]
PROBLEM = Problem(code="corrupt", message="It is damaged.")


def state_of(store: TaskStore, task: Task) -> TaskState:
    found = store.task(task.id)
    assert found
    return found.state


def test_a_task_ends_when_its_last_file_has(store: TaskStore, task: Task, add: Add) -> None:
    add(state=FileState.SKIPPED)
    add(b"talks/b.mp3")
    assert store.end_task(task.id).state is TaskState.PENDING
    (leased,) = store.lease("w", 1)
    store.fail(lease_of(leased), PROBLEM)
    ended = store.end_task(task.id)
    assert ended.state is TaskState.PARTIAL
    assert ended.finished_at


def test_a_task_without_media_fails_and_says_why(store: TaskStore) -> None:
    problem = Problem(code="no_media", message="There is no media.")
    ended, _ = store.open_task(b"talks", Source.API, {}, error=problem)
    assert (ended.state, ended.error) == (TaskState.FAILED, problem)
    assert store.end_task(ended.id) == ended


def test_cancelling_calls_off_what_is_leased_and_spares_what_is_committing(
    store: TaskStore, task: Task, add: Add
) -> None:
    add(b"talks/1.mp3")
    add(b"talks/2.mp3")
    committing, leased = store.lease("w", 2)
    store.begin_commit(
        lease_of(committing),
        output_sha256="0",
        sha256="5",
        fingerprint=committing.fingerprint,
        duration=None,
        language=None,
    )
    add(b"talks/3.mp3", state=FileState.SETTLING)
    cancelled, called_off = store.cancel(task.id)
    assert cancelled.state is TaskState.CANCELLED
    assert [lease_of(each) for each in called_off] == [lease_of(leased)]
    assert store.finish_commit(lease_of(committing), outputs=[], warnings=[]).state is FileState.DONE
    with pytest.raises(IllegalTransitionError):
        store.give_back(lease_of(leased))
    assert store.tallies([task.id])[task.id].counts == {FileState.CANCELLED: 2, FileState.DONE: 1}


def test_what_has_ended_or_never_was_cannot_be_cancelled(store: TaskStore, task: Task) -> None:
    store.cancel(task.id)
    with pytest.raises(ConflictError):
        store.cancel(task.id)
    with pytest.raises(NotFoundError):
        store.cancel("none")


def test_a_retry_starts_afresh_what_failed(store: TaskStore, task: Task, add: Add) -> None:
    add()
    add(b"talks/b.mp3", state=FileState.SKIPPED)
    for _ in range(2):
        (leased,) = store.lease("w", 1)
        store.crashed(lease_of(leased), PROBLEM)
    store.end_task(task.id)
    again, number = store.retry(task.id)
    assert (again.state, again.finished_at, number) == (TaskState.PENDING, None, 1)
    (leased,) = store.lease("w", 1)
    assert (leased.attempts, leased.crashes, leased.error) == (1, 0, None)
    assert state_of(store, task) is TaskState.RUNNING


def test_a_retry_with_nothing_to_do_leaves_the_task_as_it_ended(
    store: TaskStore, task: Task, add: Add
) -> None:
    add(state=FileState.SKIPPED)
    ended = store.end_task(task.id)
    assert store.retry(task.id) == (ended, 0)


def test_a_retry_is_refused_while_another_task_of_the_directory_is_active(
    store: TaskStore, task: Task, add: Add
) -> None:
    add()
    (leased,) = store.lease("w", 1)
    failed = store.fail(lease_of(leased), PROBLEM)
    store.end_task(task.id)
    store.open_task(b"talks", Source.API, {})
    with pytest.raises(ConflictError):
        store.retry(task.id)
    assert store.file(failed.id) == failed
    with pytest.raises(NotFoundError):
        store.retry("none")


def test_a_retry_leaves_what_no_stage_may_have_as_it_is(store: TaskStore, task: Task, add: Add) -> None:
    """A file with a bad whisper.toml would be done without its options."""
    refused = add(state=FileState.FAILED, error=PROBLEM)
    store.end_task(task.id)
    ended, count = store.retry(task.id)
    assert (ended.state, count) == (TaskState.FAILED, 0)
    assert store.file(refused.id) == refused


def test_a_task_whose_files_went_elsewhere_ends_as_they_do(store: TaskStore, task: Task, add: Add) -> None:
    """Not before, and not as failed."""
    add(b"talks/in/a.mp3")
    store.open_task(b"talks/in", Source.API, {}, along=True)
    assert store.end_task(task.id).state is TaskState.PENDING
    (leased,) = store.lease("w", 1)
    store.gone(lease_of(leased))
    assert store.end_task(task.id).state is TaskState.COMPLETED


def test_a_healed_file_makes_its_task_active_again(store: TaskStore, task: Task, add: Add) -> None:
    failed = add(state=FileState.FAILED, error=PROBLEM)
    store.end_task(task.id)
    store.requeue([failed.id])
    assert state_of(store, task) is TaskState.PENDING


def test_a_healed_file_joins_the_active_task_of_its_directory(store: TaskStore, task: Task, add: Add) -> None:
    failed = add(state=FileState.FAILED, error=PROBLEM)
    store.end_task(task.id)
    active, _ = store.open_task(b"talks", Source.API, {})
    store.requeue([failed.id])
    assert [each.id for each in store.files(active.id).rows] == [failed.id]
    assert state_of(store, task) is TaskState.FAILED


def test_what_was_told_of_a_file_is_forgotten_with_it(store: TaskStore, add: Add) -> None:
    forgotten, kept = add(b"talks/a.mp3"), add(b"talks/b.mp3")
    store.forget(forgotten.path)
    told = {each.file_id for each in store.changed_since(0)}
    assert told == {None, kept.id}


def test_forgetting_a_directory_leaves_its_neighbours(store: TaskStore, task: Task, add: Add) -> None:
    inside = [add(b"talks/a.mp3"), add(b"talks/in/b.mp3")]
    neighbour, _ = store.open_task(b"talks-2", Source.API, {})
    outside = add(b"talks-2/a.mp3")
    assert sorted(each.id for each in store.forget(b"talks")) == [each.id for each in inside]
    assert store.file(outside.id)
    assert store.task(neighbour.id)
    assert store.task(task.id)  # the fixture's task holds the neighbour's file
    store.forget(b"talks-2")
    assert store.task(neighbour.id) is None


def test_what_a_stage_holds_is_not_forgotten(store: TaskStore, add: Add) -> None:
    held = add()
    store.lease("w", 1)
    with pytest.raises(ConflictError, match="cancel"):
        store.forget(b".")
    assert store.file(held.id)
