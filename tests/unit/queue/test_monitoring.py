"""What is told of tasks: everything in an answer is of one moment."""

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, event

from pipeline.queue.store import Page, Seconds, Tally, TaskStore
from pipeline.tasks import FileState, MediaFile, Source, Task, TaskState

Add = Callable[..., MediaFile]
LONGER_S = 0.3  # than a write takes that need not wait


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    """Have something begin right after the next SELECT; where the database lets it, it ends before the one after."""
    hooks: list[Callable[..., None]] = []

    def have(do: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=do)

        def begin(_c: object, _k: object, sql: str, *_rest: object) -> None:
            if sql.startswith("SELECT task") and thread.ident is None:
                thread.start()
                thread.join(LONGER_S)

        hooks.append(begin)
        event.listen(Engine, "after_cursor_execute", begin)
        return thread

    yield have
    for hook in hooks:
        event.remove(Engine, "after_cursor_execute", hook)


def test_an_overview_holds_the_task_its_tally_its_files_and_whom_it_tells(
    store: TaskStore, task: Task, add: Add
) -> None:
    store.change_task(task.id, callback_url="https://a.example/hook")
    file = add(duration=3.0)
    overview = store.overview(task.id)
    assert overview
    assert overview.task == store.task(task.id)
    assert overview.tally == Tally({FileState.QUEUED: 1}, Seconds(3.0, 0.0, 0))
    assert overview.files == Page((file,), None)
    assert [each.url for each in overview.callbacks] == ["https://a.example/hook"]


@pytest.mark.parametrize("task_id", ["none", "", "é", "a b", "\0"])
def test_there_is_no_overview_of_what_is_not_there(store: TaskStore, task_id: str) -> None:
    assert store.overview(task_id) is None


def test_an_overview_is_of_one_moment(
    store: TaskStore, task: Task, add: Add, meanwhile: Callable[..., threading.Thread]
) -> None:
    add()
    cancelling = meanwhile(lambda: store.cancel(task.id))
    overview = store.overview(task.id)
    cancelling.join()
    assert overview
    assert overview.task.state is TaskState.PENDING
    assert overview.tally.counts == {FileState.QUEUED: 1}
    assert [each.state for each in overview.files.rows] == [FileState.QUEUED]


def test_a_list_is_of_one_moment(
    store: TaskStore, task: Task, add: Add, meanwhile: Callable[..., threading.Thread]
) -> None:
    add()
    cancelling = meanwhile(lambda: store.cancel(task.id))
    page, tallies = store.listed()
    cancelling.join()
    assert [each.state for each in page.rows] == [TaskState.PENDING]
    assert tallies[task.id].counts == {FileState.QUEUED: 1}


def test_a_list_tells_of_each_task_its_own_files(store: TaskStore, task: Task, add: Add) -> None:
    other, _ = store.open_task(b"other", Source.API, {})
    add()
    page, tallies = store.listed()
    assert [each.id for each in page.rows] == [other.id, task.id]
    assert tallies[other.id] == Tally({}, Seconds())
    assert tallies[task.id].counts == {FileState.QUEUED: 1}
