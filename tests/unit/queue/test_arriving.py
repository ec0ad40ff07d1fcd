"""How work gets in: one active task a directory, one row a source, settled or not."""

import threading
from collections.abc import Callable

import pytest

from pipeline.errors import ConflictError, IllegalTransitionError, NotFoundError
from pipeline.queue.rows import lease_of
from pipeline.queue.store import NewFile, TaskStore
from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem, Source, Task, TaskState

Add = Callable[..., MediaFile]
PATH = b"talks/a.mp3"


def new(path: bytes = PATH, size: int = 1, **values: object) -> NewFile:
    given = {"state": FileState.QUEUED, "options": {}} | values
    return NewFile(path=path, fingerprint=Fingerprint(size, 1), **given)  # type: ignore[arg-type]


def states(store: TaskStore, task: Task) -> list[FileState]:
    return [each.state for each in store.files(task.id).rows]


def at_once(times: int, run: Callable[[], object]) -> list[object]:
    """Run this in so many threads at the same time and return the results."""
    results: list[object] = []
    together = threading.Barrier(times)

    def one() -> None:
        together.wait(10)
        results.append(run())

    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_doors_that_open_the_same_directory_at_once_share_one_task(store: TaskStore) -> None:
    opened = at_once(8, lambda: store.open_task(b"talks", Source.API, {}))
    assert sum(made for _task, made in opened) == 1  # type: ignore[misc]
    assert len({task.id for task, _made in opened}) == 1  # type: ignore[attr-defined, misc]


def test_doors_that_add_the_same_files_at_once_add_each_once(store: TaskStore, task: Task) -> None:
    files = [new(b"talks/%d.mp3" % number) for number in range(20)]
    added = at_once(4, lambda: store.add_files(task.id, files))
    assert sum(map(len, added)) == 20  # type: ignore[arg-type]


def test_a_task_keeps_what_it_was_asked_for(store: TaskStore) -> None:
    options = {"language": "fr", "output_format": ("txt", "srt"), "include": ("*.mp3",)}
    task, _ = store.open_task(b"\xff\n", Source.CLI, options, priority=3, callback_url="http://there/")
    assert store.task(task.id) == task
    assert (task.dirname, task.options, task.priority) == (b"\xff\n", options, 3)


def test_a_file_keeps_what_ingest_knew_of_it(store: TaskStore, task: Task) -> None:
    problem = Problem(code="bad_options", message="no such option")
    (file,) = store.add_files(
        task.id,
        [
            new(
                b"talks/\xe9\n-%s.mp3",
                state=FileState.FAILED,
                error=problem,
                duration=2.0,
                sha256="5",
                priority=2,
            )
        ],
    )
    assert store.file(file.id) == file
    assert (file.path, file.error, file.duration, file.sha256) == (b"talks/\xe9\n-%s.mp3", problem, 2.0, "5")
    assert file.finished_at


def test_a_directory_whose_task_has_ended_gets_a_new_one(store: TaskStore, task: Task) -> None:
    store.end_task(task.id)
    again, made = store.open_task(b"talks", Source.RESCAN, {})
    assert made
    assert again.id != task.id


def test_a_source_is_added_once_and_again_for_another_text(store: TaskStore, task: Task, add: Add) -> None:
    add()
    assert store.add_files(task.id, [new()]) == []
    (french,) = store.add_files(task.id, [new(options={"language": "fr"})])
    assert [each.id for each in store.known(PATH)[PATH]] == [french.id]


def test_a_waiting_file_is_superseded_by_its_newer_version(store: TaskStore, add: Add) -> None:
    add()
    newer = add(size=2)
    assert [each.id for each in store.known(PATH)[PATH]] == [newer.id]


def test_a_file_that_was_done_stands_until_it_is_forced(store: TaskStore, task: Task, add: Add) -> None:
    first = add(state=FileState.SKIPPED)
    assert store.add_files(task.id, [new()]) == []
    assert len(store.add_files(task.id, [new()], instead_of=[first.id])) == 1


def test_files_for_a_task_that_just_ended_make_it_active_again(
    store: TaskStore, task: Task, add: Add
) -> None:
    store.end_task(task.id)
    add()
    found = store.task(task.id)
    assert found
    assert (found.state, found.finished_at) == (TaskState.PENDING, None)


def test_files_for_a_cancelled_or_unknown_task_are_refused(store: TaskStore, task: Task) -> None:
    store.cancel(task.id)
    with pytest.raises(ConflictError):
        store.add_files(task.id, [new()])
    with pytest.raises(NotFoundError):
        store.add_files("none", [new()])


def test_a_growing_file_is_settled_with_its_last_fingerprint(store: TaskStore, add: Add) -> None:
    file = add(state=FileState.SETTLING)
    store.still_settling(file.id, Fingerprint(2, 2))
    (settled,) = store.settle([(file.id, Fingerprint(3, 3))])
    assert (settled.state, settled.fingerprint) == (FileState.QUEUED, Fingerprint(3, 3))
    assert store.settle([(file.id, Fingerprint(3, 3))]) == []


def test_a_queued_file_that_grows_again_settles_again(store: TaskStore, task: Task, add: Add) -> None:
    file = add()
    store.still_settling(file.id, Fingerprint(2, 2))
    assert states(store, task) == [FileState.SETTLING]
    store.settle([(file.id, Fingerprint(2, 2))])
    store.lease("w", 1)
    with pytest.raises(IllegalTransitionError):
        store.still_settling(file.id, Fingerprint(3, 3))


@pytest.mark.parametrize("by", ["settle", "still_settling"])
def test_a_file_put_back_as_it_was_is_not_done_again(store: TaskStore, add: Add, by: str) -> None:
    done = add(size=1, state=FileState.SKIPPED)
    rewritten = add(size=2, state=FileState.SETTLING)
    if by == "settle":
        assert store.settle([(rewritten.id, Fingerprint(1, 1))]) == []
    else:
        store.still_settling(rewritten.id, Fingerprint(1, 1))
    assert [each.id for each in store.known(PATH)[PATH]] == [done.id]


def test_only_a_waiting_file_may_be_skipped(store: TaskStore, task: Task, add: Add) -> None:
    gone, bad = add(), add(b"talks/b.mp3", state=FileState.FAILED)
    store.skip(gone.id, Problem(code="gone", message="gone"))
    assert states(store, task) == [FileState.SKIPPED, FileState.FAILED]
    with pytest.raises(IllegalTransitionError):
        store.skip(bad.id, None)


def test_a_task_and_its_first_files_come_in_one_moment(store: TaskStore) -> None:
    """Whoever listens never sees an active task without files; a crash leaves both or none."""
    task, _ = store.open_task(b"talks", Source.WATCH, {}, files=[new(), new(b"talks/b.mp3")])
    assert len({(event.at, event.task_id) for event in store.changed_since(0)}) == 1
    assert len(store.files(task.id).rows) == 2
    bad = new(b"other/a.mp3", state="no such state")
    with pytest.raises(Exception, match="file_state"):
        store.open_task(b"other", Source.WATCH, {}, files=[bad])
    assert store.last_task(b"other") is None


def test_a_task_without_work_begins_and_ends_in_one_moment(store: TaskStore) -> None:
    """It is never seen pending."""
    none = Problem(code="no_media", message="none")
    task, is_new = store.open_task(b"talks", Source.API, {}, error=none)
    assert (task.state, task.error, is_new) == (TaskState.FAILED, none, True)
    assert len({event.at for event in store.changed_since(0)}) == 1


def test_a_task_inside_takes_the_waiting_files_along(store: TaskStore, task: Task, add: Add) -> None:
    started, waiting = add(b"talks/in/a.mp3"), add(b"talks/in/b.mp3")
    store.lease("w", 1)
    add(b"talks/in-side.mp3")
    inside, _ = store.open_task(b"talks/in", Source.API, {"language": "fr"}, priority=2, along=True)
    (moved,) = store.files(inside.id).rows
    assert (moved.id, moved.options, moved.priority) == (waiting.id, {"language": "fr"}, 2)
    assert started.id in [each.id for each in store.files(task.id).rows]


def test_a_change_reaches_the_waiting_files_only(store: TaskStore, task: Task, add: Add) -> None:
    started, waiting = add(), add(b"talks/b.mp3", options={"task": "translate"})
    store.lease("w", 1)
    options = {"language": "fr", "include": ("*.mp3",)}
    changed = store.change_task(task.id, options=options, priority=4, callback_url="http://there/")
    assert (changed.options, changed.priority) == (options, 4)
    assert [each.url for each in store.callbacks(task.id)] == ["http://there/"]
    files = {each.id: each for each in store.files(task.id).rows}
    assert files[waiting.id].options == {"task": "translate", "language": "fr"}
    assert files[waiting.id].priority == 4
    assert files[waiting.id].text_key != waiting.text_key
    assert files[started.id].options == {}


def test_a_change_to_what_is_done_already_supersedes(store: TaskStore, task: Task, add: Add) -> None:
    french = add(options={"language": "fr"}, state=FileState.SKIPPED)
    add(size=1)
    store.change_task(task.id, options={"language": "fr"})
    assert [each.id for each in store.known(PATH)[PATH]] == [french.id]


def test_an_ended_task_cannot_be_changed(store: TaskStore, task: Task) -> None:
    store.end_task(task.id)
    with pytest.raises(ConflictError):
        store.change_task(task.id, priority=1)


def test_known_finds_a_directory_a_file_or_what_lies_loose(store: TaskStore, add: Add) -> None:
    paths = [b"a.mp3", b"talks/a.mp3", b"talks/in/a.mp3", b"talks-2/a.mp3", b"talks.mp3", b"talks0/a.mp3"]
    for path in paths:
        add(path)
    assert set(store.known(b".")) == {b"a.mp3", b"talks.mp3"}
    assert set(store.known(b"talks")) == {b"talks/a.mp3", b"talks/in/a.mp3"}
    assert set(store.known(b"talks.mp3")) == {b"talks.mp3"}


def test_content_that_was_done_is_found_at_any_path(store: TaskStore, add: Add) -> None:
    add(size=7)
    (leased,) = store.lease("w", 1)
    assert not store.sizes_done(7)
    assert not store.outputs_removed(PATH)
    store.begin_commit(
        lease_of(leased),
        output_sha256="0",
        sha256="5",
        fingerprint=leased.fingerprint,
        duration=None,
        language=None,
    )
    store.finish_commit(lease_of(leased), outputs=[], warnings=[])
    assert store.sizes_done(7)
    assert store.outputs_removed(PATH)
    assert [each.path for each in store.done_twins("5")] == [PATH]
    assert store.done_twins("6") == []
