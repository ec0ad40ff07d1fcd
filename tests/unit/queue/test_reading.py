"""What monitoring sees: pages that hold still, counts, seconds, events."""

from collections.abc import Callable

import pytest

from pipeline.errors import IllegalTransitionError, UsageError
from pipeline.queue.rows import lease_of
from pipeline.queue.store import Event, EventKind, Seconds, TaskStore
from pipeline.tasks import FileState, MediaFile, Problem, Source, Task, TaskState

Add = Callable[..., MediaFile]


def test_pages_of_tasks_hold_still_while_new_ones_come(store: TaskStore) -> None:
    ids = [store.open_task(b"%d" % number, Source.API, {})[0].id for number in range(5)]
    first = store.tasks(limit=2)
    store.open_task(b"new", Source.API, {})
    second = store.tasks(limit=2, cursor=first.next_cursor)
    third = store.tasks(limit=2, cursor=second.next_cursor)
    seen = [task.id for page in (first, second, third) for task in page.rows]
    assert seen == ids[::-1]
    assert third.next_cursor is None


def test_tasks_of_the_same_moment_are_paged_by_id(store: TaskStore) -> None:
    store._clock = lambda: 5.0
    ids = {store.open_task(b"%d" % number, Source.API, {})[0].id for number in range(4)}
    first = store.tasks(limit=3)
    second = store.tasks(limit=3, cursor=first.next_cursor)
    assert {task.id for page in (first, second) for task in page.rows} == ids


def test_tasks_are_found_by_state_directory_and_time(store: TaskStore, task: Task) -> None:
    other, _ = store.open_task(b"other", Source.API, {})
    ended = store.end_task(task.id)
    assert store.tasks(states=[TaskState.FAILED]).rows == (ended,)
    assert store.tasks(dirname=b"other").rows == (other,)
    assert store.tasks(updated_after=other.updated_at).rows == (ended,)
    assert store.active_dirnames() == {other.id: b"other"}
    assert store.active_at([b"talks", b"other"]) == {b"other": other}
    assert store.last_task(b"talks") == ended
    assert store.last_task(b"nowhere") is None


def test_a_files_change_shows_on_its_task(store: TaskStore, task: Task, add: Add) -> None:
    file = add()
    assert [each.id for each in store.tasks(updated_after=task.updated_at).rows] == [task.id]
    assert file.updated_at > task.updated_at


def test_the_task_of_a_path_is_the_newest_that_did_something_there(
    store: TaskStore, task: Task, add: Add
) -> None:
    add()
    store.end_task(task.id)
    store.open_task(b"other", Source.API, {})
    for path in (b"talks/a.mp3", b"talks", b"."):
        found = store.task_of(path)
        assert found
        assert found.id == task.id
    assert store.task_of(b"talks/b.mp3") is None


def test_files_are_paged_in_the_order_of_their_paths(store: TaskStore, task: Task, add: Add) -> None:
    for name in (b"\xff", b"b", b"a"):
        add(b"talks/" + name)
    first = store.files(task.id, limit=2)
    second = store.files(task.id, limit=2, cursor=first.next_cursor)
    assert [each.path for page in (first, second) for each in page.rows] == [
        b"talks/a",
        b"talks/b",
        b"talks/\xff",
    ]
    assert second.next_cursor is None
    assert store.files(task.id, states=[FileState.FAILED]).rows == ()


@pytest.mark.parametrize("cursor", ["", "x", "zz_1", "1.0", "12_"])
def test_a_cursor_that_no_page_gave_is_refused(store: TaskStore, task: Task, cursor: str) -> None:
    with pytest.raises(UsageError):
        store.files(task.id, cursor=cursor)


def test_seconds_count_ended_files_whole_and_open_ones_as_far_as_they_are(
    store: TaskStore, task: Task, add: Add
) -> None:
    """Superseded rows count nowhere; a position past the declared end counts as the end."""
    add(b"talks/done.mp3", state=FileState.SKIPPED, duration=100.0)
    add(b"talks/failed.mp3", state=FileState.FAILED, duration=10.0, error=Problem(code="x", message="y"))
    add(b"talks/unknown failed.mp3", state=FileState.FAILED, error=Problem(code="x", message="y"))
    add(b"talks/old.mp3", duration=7.0)
    add(b"talks/old.mp3", size=2)
    for name in (b"half", b"past"):
        add(b"talks/" + name, priority=1)
    for leased, position in zip(store.lease("w", 2), (30.0, 61.0), strict=True):
        store.checkpoint(lease_of(leased), [], position=position, duration=60.0, language=None, text_key="")
    tallies = store.tallies([task.id, "none"])
    assert {each: tally.sums for each, tally in tallies.items()} == {
        task.id: Seconds(total=230.0, done=200.0, unknown_open=1),
        "none": Seconds(0.0, 0.0, 0),
    }


def test_superseded_files_are_shown_and_counted_nowhere(store: TaskStore, task: Task, add: Add) -> None:
    add()
    newer = add(size=2)
    assert [each.id for each in store.files(task.id).rows] == [newer.id]
    tallies = store.tallies([task.id, "none"])
    assert {each: tally.counts for each, tally in tallies.items()} == {
        task.id: {FileState.QUEUED: 1},
        "none": {},
    }


def test_every_change_is_an_event_with_the_state_it_led_to(store: TaskStore, task: Task, add: Add) -> None:
    add(b"talks/\xff.mp3")
    (leased,) = store.lease("w", 1)
    store.checkpoint(lease_of(leased), [], position=1.0, duration=None, language=None, text_key="")
    store.fail(lease_of(leased), Problem(code="corrupt", message="damaged"))
    store.end_task(task.id)
    events = store.changed_since(0)
    assert [(each.kind, each.state) for each in events] == [
        (EventKind.TASK, TaskState.PENDING),
        (EventKind.FILE, FileState.QUEUED),
        (EventKind.FILE, FileState.LEASED),
        (EventKind.TASK, TaskState.RUNNING),
        (EventKind.PROGRESS, FileState.LEASED),
        (EventKind.FILE, FileState.FAILED),
        (EventKind.TASK, TaskState.FAILED),
    ]
    assert events[4].detail == {"path": "talks/\\xff.mp3", "position": 1.0, "duration": None}
    assert events[5].detail == {"path": "talks/\\xff.mp3", "code": "corrupt"}
    assert store.changed_since(events[4].id, limit=1) == [events[5]]


def test_the_events_of_a_task_are_told_apart_and_name_its_directory(
    store: TaskStore, task: Task, add: Add
) -> None:
    other, _ = store.open_task(b"other", Source.API, {})
    add()
    events = store.changed_since(0, task_id=task.id)
    assert [each.kind for each in events] == [EventKind.TASK, EventKind.FILE]
    assert {each.dirname for each in events} == {b"talks"}
    assert [each.dirname for each in store.changed_since(0, task_id=other.id)] == [b"other"]


def test_what_can_be_told_is_known_by_its_ends(store: TaskStore, add: Add) -> None:
    for number in range(3):
        add(b"talks/%d.mp3" % number)
    store.trim_events(2)
    kept = store.events_kept()
    assert kept.newest == kept.oldest + 1
    assert [kept.covers(kept.oldest + away) for away in (-2, -1, 0, 1, 2)] == [False, True, True, True, False]


def test_a_change_that_is_refused_leaves_no_event(store: TaskStore, add: Add) -> None:
    file = add()
    before = store.changed_since(0)
    with pytest.raises(IllegalTransitionError):
        store.retry_now([file.id])
    assert store.changed_since(0) == before


def test_trimming_keeps_the_newest_events(store: TaskStore, add: Add) -> None:
    for number in range(5):
        add(b"talks/%d.mp3" % number)
    newest: list[Event] = store.changed_since(0)[-2:]
    assert store.trim_events(2) == 4
    assert store.changed_since(0) == newest
    assert store.trim_events(2) == 0


@pytest.mark.parametrize("text", ["", "a\0b", "\udcff", "d\u00e9j\u00e0", "0" * 32])
def test_a_text_that_is_no_id_names_no_task(store: TaskStore, text: str) -> None:
    assert store.task(text) is None
