"""Callbacks in the queue: a message for each end and each who asked, until it is delivered or given up."""

import json
from collections.abc import Callable

import pytest

from pipeline.queue.database import Database
from pipeline.queue.delivering import LONGEST_S
from pipeline.queue.records import Delivery, NewFile
from pipeline.queue.rows import lease_of
from pipeline.queue.store import TaskStore
from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem, Source, Task

Add = Callable[..., MediaFile]
A, B = "https://a.example/hook", "https://b.example/hook"
NOW = 5000.0


@pytest.fixture
def told(store: TaskStore) -> Task:
    """Return a task that tells A of its ends."""
    return store.open_task(b"told", Source.API, {}, callback_url=A)[0]


def bodies(store: TaskStore) -> list[dict[str, object]]:
    return [json.loads(each.body) for each in store.due(NOW, 100)]


def states(store: TaskStore, task: Task) -> list[tuple[str, str | None]]:
    return [(each.url, each.state) for each in store.callbacks(task.id)]


def test_a_task_that_nobody_asked_about_leaves_no_message(store: TaskStore, task: Task) -> None:
    store.end_task(task.id)
    assert store.due(NOW, 100) == []
    assert store.callbacks(task.id) == []


def test_the_end_of_a_task_leaves_a_message_to_each_who_asked(store: TaskStore, told: Task) -> None:
    """Those asked for later are added, each is told once however often it is named."""
    for url in (B, A, B):
        store.change_task(told.id, callback_url=url)
    assert states(store, told) == [(A, None), (B, None)]
    assert store.due(NOW, 100) == []
    store.end_task(told.id)
    due = store.due(NOW, 100)
    assert [(each.url, each.origin, each.task_id) for each in due] == [
        (A, "https://a.example", told.id),
        (B, "https://b.example", told.id),
    ]
    assert len({each.message_id for each in due}) == 2


def test_asking_a_task_that_has_ended_tells_nobody(store: TaskStore, told: Task) -> None:
    """The answer to who asks says that it has ended."""
    store.call_back(told.id, B)
    store.call_back(told.id, None)
    store.end_task(told.id)
    store.call_back(told.id, "https://late.example/")
    assert [url for url, _ in states(store, told)] == [A, B]


def test_the_message_is_the_monitoring_answer_without_files(store: TaskStore, task: Task, add: Add) -> None:
    """And the type that Standard Webhooks recommends; a callback does not hear of the others."""
    store.call_back(task.id, "https://user:secret@a.example/hook?token=1")
    add(b"talks/a.mp3")
    add(b"talks/b.mp3", state=FileState.FAILED, error=Problem(code="empty", message="0 bytes"))
    (leased,) = store.lease("w", 1)
    store.begin_commit(
        lease_of(leased),
        output_sha256="",
        sha256="",
        fingerprint=leased.fingerprint,
        duration=12.5,
        language="fr",
    )
    store.finish_commit(lease_of(leased), outputs=[], warnings=[])
    store.end_task(task.id)
    (body,) = bodies(store)
    assert body["type"] == "task.partial"
    assert body["task_status"] == "partial"
    assert body["counts"] == {"done": 1, "failed": 1}
    assert body["audio_seconds"] == 12.5
    assert body["progress"] == 1.0
    assert body["finished_at"]
    assert "files" not in body
    assert "secret" not in json.dumps(body)


def test_cancelling_is_an_end_and_counts_the_files_as_they_are_then(
    store: TaskStore, task: Task, add: Add
) -> None:
    store.call_back(task.id, A)
    add(b"talks/a.mp3")
    add(b"talks/b.mp3")
    store.lease("w", 1)
    store.cancel(task.id)
    (body,) = bodies(store)
    assert (body["type"], body["counts"]) == ("task.cancelled", {"cancelled": 2})


def test_a_task_that_fails_as_it_is_made_tells_of_it(store: TaskStore) -> None:
    problem = Problem(code="no_media", message="nothing there")
    store.open_task(b"empty", Source.API, {}, callback_url=A, error=problem)
    (body,) = bodies(store)
    assert body["error"] == {"code": "no_media", "message": "nothing there"}


def test_a_retry_ends_again_with_a_message_of_its_own(store: TaskStore, task: Task, add: Add) -> None:
    """What the first one said stays as it was, delivered or not."""
    store.call_back(task.id, A)
    file = add()
    store.lease("w", 1)
    store.cancel(task.id)
    store.retry(task.id)
    (first,) = store.due(NOW, 100)
    assert json.loads(first.body)["task_status"] == "cancelled"
    store.delivered(first.id)
    store.skip(file.id, None)
    store.end_task(task.id)
    (second,) = store.due(NOW, 100)
    assert json.loads(second.body)["task_status"] == "completed"
    assert second.message_id != first.message_id


def test_the_default_is_told_of_tasks_that_name_nobody(database: Database) -> None:
    """Of new ones: to join a task that tells somebody adds nobody."""
    store = TaskStore(database, callback_url=B)
    store.open_epoch()
    watched, _ = store.open_task(b"watched", Source.WATCH, {})
    asked, _ = store.open_task(b"asked", Source.API, {}, callback_url=A)
    store.open_task(b"asked", Source.WATCH, {})
    assert states(store, watched) == [(B, None)]
    assert states(store, asked) == [(A, None)]


def test_an_end_that_is_undone_leaves_no_message(
    store: TaskStore, told: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are one transaction."""

    def fail(*_: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("pipeline.queue.changes.announce", fail)
    with pytest.raises(RuntimeError):
        store.end_task(told.id)
    assert store.task(told.id) == told
    assert store.due(NOW, 100) == []


def sent(store: TaskStore, told: Task) -> Delivery:
    store.end_task(told.id)
    (message,) = store.due(NOW, 100)
    return message


def test_what_failed_is_due_again_when_it_was_planned(store: TaskStore, told: Task) -> None:
    """The same message, word for word."""
    message = sent(store, told)
    store.put_off(message.id, "answered 500", NOW + 60)
    assert store.due(NOW + 59, 100) == []
    (again,) = store.due(NOW + 60, 100)
    assert (again.message_id, again.body, again.attempts) == (message.message_id, message.body, 1)
    (callback,) = store.callbacks(told.id)
    assert (callback.state, callback.attempts) == ("pending", 1)
    assert (callback.next_at, callback.last_error) == (NOW + 60, "answered 500")


def test_what_was_delivered_or_given_up_is_not_sent_again_nor_kept(
    store: TaskStore, told: Task, database: Database
) -> None:
    store.call_back(told.id, B)
    store.end_task(told.id)
    first, second = store.due(NOW, 100)
    store.delivered(first.id)
    store.give_up(second.id, "answered 500")
    assert store.due(NOW + 10**6, 100) == []
    assert [(each.state, each.attempts, each.last_error) for each in store.callbacks(told.id)] == [
        ("delivered", 1, None),
        ("given_up", 1, "answered 500"),
    ]
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(body) FROM delivery").scalar() == 0


def test_who_refused_hears_of_no_further_end(store: TaskStore, told: Task) -> None:
    """Of this task: another may tell the same address something that it wants."""
    other, _ = store.open_task(b"other", Source.API, {}, callback_url=A)
    store.call_back(told.id, B)
    store.end_task(told.id)
    first, _ = store.due(NOW, 100)
    assert first.url == A
    store.give_up(first.id, "answered 410", refused=True)
    store.delivered(store.due(NOW, 100)[0].id)
    late = NewFile(path=b"told/a.mp3", fingerprint=Fingerprint(1, 1), state=FileState.SKIPPED, options={})
    store.add_files(told.id, [late])
    store.end_task(told.id)
    store.end_task(other.id)
    assert [(each.task_id, each.url) for each in store.due(NOW, 100)] == [(told.id, B), (other.id, A)]
    assert [url for url, _ in states(store, told)] == [A, B]


def test_a_clock_set_back_does_not_hold_messages_for_long(store: TaskStore, told: Task) -> None:
    """What is planned further ahead than anything ever is was planned by another clock."""
    message = sent(store, told)
    store.put_off(message.id, "answered 500", NOW + 60)
    year = 365 * 24 * 3600
    assert len(store.due(NOW - year, 100)) == 1
    store.put_off(message.id, "answered 500", NOW - year + 300)
    assert store.due(NOW - year, 100) == []
    assert store.due(NOW + 60 - LONGEST_S, 100) != []


def test_those_under_way_and_busy_receivers_are_left_out(store: TaskStore) -> None:
    """So one receiver with a thousand messages does not hold up another."""
    for number in range(5):
        task, _ = store.open_task(b"%d" % number, Source.API, {}, callback_url=f"{A}/{number}")
        store.end_task(task.id)
    last, _ = store.open_task(b"last", Source.API, {}, callback_url=B)
    store.end_task(last.id)
    some = store.due(NOW, 2)
    assert [each.url for each in some] == [f"{A}/0", f"{A}/1"]
    rest = store.due(NOW, 100, besides=[each.id for each in some])
    assert [each.url for each in rest] == [f"{A}/2", f"{A}/3", f"{A}/4", B]
    assert [each.url for each in store.due(NOW, 2, not_to=["https://a.example"])] == [B]


def test_forgetting_a_task_forgets_its_messages(store: TaskStore, told: Task) -> None:
    """Even while one is under way."""
    message = sent(store, told)
    store.forget(b"told")
    assert store.due(NOW, 100) == []
    store.delivered(message.id)
    store.put_off(message.id, "answered 500", NOW)
    store.give_up(message.id, "answered 410", refused=True)
    assert store.callbacks(told.id) == []
