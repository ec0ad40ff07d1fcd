"""How many statements a call takes: SQLAlchemy's share of each costs more than what it does."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, event

from pipeline.queue.forms import moving_files
from pipeline.queue.records import NewFile
from pipeline.queue.rows import lease_of
from pipeline.queue.store import TaskStore
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source, Task

Add = Callable[..., MediaFile]


@pytest.fixture
def verbs() -> Iterator[list[str]]:
    """Return the first words of the statements that run from now on."""
    made: list[str] = []

    def note(_c: object, _k: object, sql: str, *_rest: object) -> None:
        made.append(sql.split(maxsplit=1)[0])

    event.listen(Engine, "before_cursor_execute", note)
    yield made
    event.remove(Engine, "before_cursor_execute", note)


def test_a_task_comes_with_its_file_in_four_statements(store: TaskStore, verbs: list[str]) -> None:
    new = NewFile(path=b"new/a.mp3", fingerprint=Fingerprint(1, 1), state=FileState.QUEUED, options={})
    store.open_task(b"new", Source.API, {}, files=[new])
    assert verbs == ["BEGIN", "INSERT", "INSERT", "UPDATE", "INSERT"]


def test_a_lease_takes_five_statements_be_it_the_first_of_its_task_or_not(
    store: TaskStore, add: Add, verbs: list[str]
) -> None:
    """Choose; change the file; add the attempt and the events; change the task."""
    for name in (b"a", b"b"):
        add(b"talks/" + name)
    verbs.clear()
    store.lease("w", 1, solo=False)
    first = list(verbs)
    store.lease("w", 1, solo=False)
    assert first == ["BEGIN", "SELECT", "UPDATE", "INSERT", "UPDATE", "INSERT"]
    assert sorted(verbs[len(first) :]) == sorted(first)


def test_what_runs_again_is_not_made_again(store: TaskStore, add: Add) -> None:
    def once(path: bytes) -> None:
        add(path)
        (file,) = store.lease("w", 1, solo=False)
        fingerprint, lease = file.fingerprint, lease_of(file)
        store.begin_commit(
            lease, output_sha256="", sha256="", fingerprint=fingerprint, duration=1.0, language="fr"
        )
        store.finish_commit(lease, outputs=[], warnings=[])

    once(b"talks/a.mp3")
    made = moving_files.cache_info().misses
    once(b"talks/b.mp3")
    assert moving_files.cache_info().misses == made


def test_all_that_is_told_of_a_task_is_read_in_one_transaction(
    store: TaskStore, task: Task, add: Add, verbs: list[str]
) -> None:
    add()
    verbs.clear()
    assert store.overview(task.id)
    assert verbs == ["BEGIN", "SELECT", "SELECT", "SELECT", "SELECT"]


def test_all_that_is_told_of_many_tasks_is_read_in_one_transaction(
    store: TaskStore, add: Add, verbs: list[str]
) -> None:
    add()
    verbs.clear()
    store.listed()
    assert verbs == ["BEGIN", "SELECT", "SELECT"]
