"""What SQLite does with our statements: with a million rows, each finds its own by an index."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, event

from pipeline.queue.database import Database
from pipeline.queue.rows import lease_of
from pipeline.queue.store import TaskStore
from pipeline.tasks import FAILURES, FileState, MediaFile, Source, Task, TaskState

Plans = Callable[[Callable[[], object]], list[str]]


@pytest.fixture
def plans(database: Database) -> Plans:
    """Run something and return the plan of every SELECT, UPDATE and DELETE it made."""
    made: list[tuple[str, tuple[object, ...]]] = []

    def note(_c: object, _k: object, sql: str, values: tuple[object, ...], _x: object, many: bool) -> None:
        if not many and re.match("SELECT|UPDATE|DELETE", sql):
            made.append((sql, values))

    def run(something: Callable[[], object]) -> list[str]:
        event.listen(Engine, "before_cursor_execute", note)
        try:
            something()
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        with database.read() as connection:
            return [
                row.detail
                for sql, values in made
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
            ]

    return run


def scans(plan: list[str]) -> list[str]:
    """Return the steps that read a whole table or index (meta has one row)."""
    return [
        step for step in plan if step.startswith("SCAN") and step not in ("SCAN meta", "SCAN CONSTANT ROW")
    ]


def test_a_lease_walks_its_index_in_order_and_finds_the_chosen_by_id(
    plans: Plans, store: TaskStore, add: Callable[..., MediaFile]
) -> None:
    for number in range(4):
        add(b"talks/%d.mp3" % number)
    plan = plans(lambda: store.lease("w", 4, solo=False))
    assert plan[0] == "SEARCH file USING INDEX ix_file_lease (state=? AND crashes=?)"
    assert "SEARCH file USING INTEGER PRIMARY KEY (rowid=?)" in plan
    assert not [step for step in plan if "ORDER BY" in step]
    assert scans(plan) == []


READS: list[Callable[[TaskStore, str], object]] = [
    lambda store, _: store.known(b"talks"),
    lambda store, _: store.known(b"talks/a.mp3"),
    lambda store, _: store.known(b"."),
    lambda store, task: store.tallies([task]),
    lambda store, task: store.overview(task),
    lambda store, _: store.active_dirnames(),
    lambda store, _: store.active_at([b"talks"]),
    lambda store, _: store.without_open_files(),
    lambda store, _: store.tasks(states=[TaskState.FAILED]),
    lambda store, _: store.tasks(dirname=b"talks"),
    lambda store, task: store.files(task, limit=10),
    lambda store, task: store.files(task, states=FAILURES),
    lambda store, _: store.in_state(FileState.SETTLING, FileState.RETRY_WAIT),
    lambda store, _: store.done_twins("0"),
    lambda store, _: store.sizes_done(1),
    lambda store, _: store.outputs_removed(b"talks/a.mp3"),
    lambda store, _: store.last_task(b"talks"),
    lambda store, _: store.task_of(b"talks"),
    lambda store, _: store.changed_since(0),
    lambda store, _: store.open_task(b"talks", Source.API, {"language": "fr"}, along=True),
    lambda store, task: store.end_task(task),
    lambda store, task: store.cancel(task),
    lambda store, task: store.change_task(task, options={"language": "fr"}),
    lambda store, _: store.open_epoch(),
    lambda store, _: store.suspect_waits(),
    lambda store, task: store.add_files(task, [], instead_of=[1, 2]),
    lambda store, _: store.due(0.0, 10, besides=[1], not_to=["http://a"]),
    lambda store, task: store.callbacks(task),
    lambda store, _: store.delivered(1),
    lambda store, _: store.give_up(1, "", refused=True),
]


@pytest.mark.parametrize("number", range(len(READS)))
def test_nothing_reads_a_whole_table(
    plans: Plans, store: TaskStore, task: Task, add: Callable[..., MediaFile], number: int
) -> None:
    add()
    assert scans(plans(lambda: READS[number](store, task.id))) == []


def test_a_commit_touches_only_its_own_path(
    plans: Plans, store: TaskStore, add: Callable[..., MediaFile]
) -> None:
    add()
    (file,) = store.lease("w", 1)
    fingerprint = file.fingerprint

    def commit() -> None:
        store.begin_commit(
            lease_of(file), output_sha256="", sha256="", fingerprint=fingerprint, duration=1.0, language="fr"
        )
        store.finish_commit(lease_of(file), outputs=[], warnings=[])

    plan = plans(commit)
    assert "SEARCH file USING INDEX uq_file_source (path=?)" in plan
    assert scans(plan) == []


def test_what_is_due_comes_from_its_index_without_a_sort(plans: Plans, store: TaskStore) -> None:
    """A receiver that was down for days may have a hundred thousand messages."""
    plan = plans(lambda: store.due(0.0, 10, besides=[1], not_to=["http://a"]))
    assert [step.rpartition("(")[2] for step in plan] == ["next_at<?)", "next_at>?)"]
    assert all(step.startswith("SEARCH delivery USING INDEX ix_delivery_pending") for step in plan)


def test_the_newest_tasks_come_from_their_index_without_a_sort(plans: Plans, store: TaskStore) -> None:
    store.open_task(b"some", Source.API, {})
    store.open_task(b"more", Source.API, {})
    page = store.tasks(limit=1)
    assert plans(lambda: store.tasks(limit=1, cursor=page.next_cursor)) == [
        "SEARCH task USING INDEX ix_task_newest ((created_at,id)<(?,?))"
    ]
