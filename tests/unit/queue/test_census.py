"""How much the queue holds in all."""

from collections.abc import Callable

from pipeline.queue.store import TaskStore
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source, TaskState


def test_everything_is_counted_by_state(store: TaskStore, add: Callable[..., MediaFile]) -> None:
    """Files of folders, and those that a client waits for on their own."""
    add(b"talks/a.mp3")
    add(b"talks/b.mp3", state=FileState.SETTLING)
    store.open_task(b"other", Source.API, {})
    store.admit(b".whisper/spool/1.wav", Fingerprint(1, 1), {})
    census = store.census()
    assert census.tasks == {TaskState.PENDING: 3}
    assert {state: number for state, number in census.files.items() if number} == {
        FileState.QUEUED: 1,
        FileState.SETTLING: 1,
    }
    assert census.spooled == {FileState.QUEUED: 1}
    assert census.callbacks == 0


def test_the_oldest_is_the_one_that_is_queued_longest(
    store: TaskStore, add: Callable[..., MediaFile]
) -> None:
    """Since it was queued, not since it was first seen; what still grows waits for nobody."""
    add(b"talks/a.mp3", state=FileState.SETTLING)
    first, second = add(b"talks/b.mp3"), add(b"talks/c.mp3")
    assert store.census().oldest_queued_at == first.updated_at
    store.skip(first.id, None)
    assert store.census().oldest_queued_at == second.updated_at
    store.skip(second.id, None)
    assert store.census().oldest_queued_at is None


def test_a_callback_that_is_to_be_delivered_is_counted(store: TaskStore) -> None:
    """Until the receiver has it."""
    task, _ = store.open_task(b"talks", Source.API, {}, callback_url="https://example.org/hook")
    store.cancel(task.id)
    assert store.census().callbacks == 1
    (message,) = store.due(0.0, 10)
    store.delivered(message.id)
    assert store.census().callbacks == 0
