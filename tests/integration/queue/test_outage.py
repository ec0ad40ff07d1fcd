"""The server goes away in the middle: what was acknowledged stays, what was not has failed, work goes on."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from pipeline.errors import DatabaseLockedError, PipelineError, UnavailableError
from pipeline.queue import postgres_server
from pipeline.queue.changes import Change
from pipeline.queue.choosing import next_queued
from pipeline.queue.database import Database, open_database
from pipeline.queue.holding import Holding
from pipeline.queue.store import NewFile, TaskStore
from pipeline.tasks import FileState, Fingerprint, Source
from tests.acceptance.harness import until
from tests.integration.queue.proxy import Cut, Link
from tests.postgres import Cluster
from tests.unit.queue.test_database import in_one_group

REPOSITORY = Path(__file__).parents[3]
KEEPER = """
import sys, time
from pipeline.queue.database import open_database
from pipeline.queue.store import TaskStore
TaskStore(open_database(sys.argv[1])).open_epoch()
print("open", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for as long as a busy server needs to let go of a lock."""
    monkeypatch.setattr(postgres_server, "LOCK_WAIT_S", 30.0)


@contextmanager
def hasty() -> Iterator[None]:
    """Wait less for a lock that nobody will let go of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_server, "LOCK_WAIT_S", 0.3)
        yield


def assert_taken(url: str) -> None:
    """See that another core owns the queue."""
    with (
        hasty(),
        pytest.raises(DatabaseLockedError, match=r"/queue\d+: Another service already owns this queue"),
    ):
        open_database(url)


@pytest.fixture
def link(cluster: Cluster) -> Iterator[Link]:
    link = Link(cluster.port)
    yield link
    link.close()


@pytest.fixture
def far_core(url: str, cluster: Cluster, link: Link) -> Iterator[Database]:
    """Open the queue over a link that can be cut."""
    database = open_database(url.replace(f":{cluster.port}/", f":{link.port}/"))
    TaskStore(database).open_epoch()
    yield database
    database.close()


@pytest.fixture
def keeper(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Keep the queue open in another process."""
    command = [sys.executable, "-c", KEEPER, url]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, env={"PYTHONPATH": "."}
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"open\n"
        yield process
        process.kill()


def open_task(database: Database, name: bytes) -> None:
    TaskStore(database).open_task(name, Source.API, {})


def tasks(url: str) -> set[bytes]:
    """Return the directories of the tasks, seen over a connection of our own."""
    looking = open_database(url, readonly=True)
    try:
        return {task.dirname for task in TaskStore(looking).tasks().rows}
    finally:
        looking.close()


# ---- one core ----


def test_a_second_core_is_refused_until_the_first_one_closes(core: Database, url: str) -> None:
    assert_taken(url)
    core.close()
    open_database(url).close()


def test_queues_in_two_schemas_do_not_shut_each_other_out(core: Database, cluster: Cluster, url: str) -> None:
    cluster.ask("CREATE SCHEMA theirs", core.name.rpartition("/")[2])
    other = open_database(f"{url}?options=-csearch_path%3Dtheirs")
    assert TaskStore(other).open_epoch() == (1, [])
    other.close()


def test_a_killed_core_leaves_the_queue_free(keeper: subprocess.Popen[bytes], url: str) -> None:
    assert_taken(url)
    keeper.send_signal(signal.SIGKILL)
    keeper.wait()
    database = open_database(url)
    assert TaskStore(database).open_epoch() == (2, [])
    database.close()


def test_anyone_may_look_while_a_core_runs(core: Database, url: str) -> None:
    open_task(core, b"talks")
    looking = open_database(url, readonly=True)
    assert [task.dirname for task in TaskStore(looking).tasks().rows] == [b"talks"]
    with pytest.raises(UnavailableError, match="only to be read"):
        open_task(looking, b"more")
    looking.close()


def test_who_only_looks_cannot_write_by_a_read(core: Database) -> None:
    with pytest.raises(UnavailableError), core.read() as connection:
        connection.exec_driver_sql("UPDATE meta SET epoch = 9")


# ---- a connection that is lost ----


def test_a_connection_that_was_cut_is_replaced_unseen(core: Database, cluster: Cluster, url: str) -> None:
    cluster.cut(url.rpartition("/")[2])
    open_task(core, b"talks")
    assert tasks(url) == {b"talks"}
    assert_taken(url)


def test_a_connection_that_is_cut_within_a_write_fails_all_that_share_its_commit(core: Database) -> None:
    open_task(core, b"talks")

    def cut(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    answers = in_one_group(core, raise_priority, cut, raise_priority)
    assert [type(answer) for answer in answers] == [UnavailableError] * 3
    assert TaskStore(core).tasks().rows[0].priority == 0
    open_task(core, b"goes on")


def raise_priority(connection: Connection) -> object:
    return connection.exec_driver_sql("UPDATE task SET priority = priority + 1")


def test_a_core_that_another_one_replaced_never_writes_again(
    core: Database, cluster: Cluster, url: str
) -> None:
    """Its connection was cut, and another core was quicker; what it remembers is no longer what the database holds."""
    cluster.cut(url.rpartition("/")[2])
    other = open_database(url)
    TaskStore(other).open_epoch()
    for name in (b"lost", b"again"):
        with pytest.raises(UnavailableError, match="another service took over"):
            open_task(core, name)
    assert isinstance(core.lost, DatabaseLockedError)
    other.close()
    with pytest.raises(UnavailableError):
        open_task(core, b"free again, but not for this one")
    assert tasks(url) == set()


def test_a_core_that_waits_for_the_lock_of_another_one_is_replaced_all_the_same(
    core: Database, cluster: Cluster, url: str
) -> None:
    """The other one begins its epoch, and has gone again before the lock is free."""
    at_rest = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'COMMIT'"
    name = url.rpartition("/")[2]
    cluster.cut(name)
    other = open_database(url)
    before = int(cluster.ask(at_rest, name))
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(written(core, b"talks")))
    waiting.start()
    until(lambda: int(cluster.ask(at_rest, name)) > before)  # between two tries
    TaskStore(other).open_epoch()
    other.close()
    waiting.join(60)
    assert answers == [False]
    assert isinstance(core.lost, DatabaseLockedError)


def test_a_core_whose_connection_was_cut_goes_on_after_a_command_was_quicker(
    core: Database, cluster: Cluster, url: str
) -> None:
    """`retry` and `cancel` begin no epoch: nothing that the core remembers is wrong."""
    cluster.cut(url.rpartition("/")[2])
    command = open_database(url)
    with hasty(), pytest.raises(UnavailableError, match="holds the queue's lock"):
        open_task(core, b"waits")
    command.close()
    open_task(core, b"goes on")
    assert core.lost is None


def test_a_server_that_restarts_loses_nothing_and_work_goes_on(
    core: Database, cluster: Cluster, url: str
) -> None:
    for number, how in enumerate((signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)):
        before, after = b"before %d" % number, b"after %d" % number
        open_task(core, before)
        cluster.stop(how)
        with pytest.raises(UnavailableError, match="work goes on by itself"):
            open_task(core, b"away")
        with pytest.raises(UnavailableError):
            TaskStore(core).tasks()
        cluster.start()
        until(lambda name=after: written(core, name))
        assert {before, after} <= tasks(url)
    assert b"away" not in tasks(url)


def written(core: Database, name: bytes) -> bool:
    try:
        open_task(core, name)
    except UnavailableError:
        return False
    return True


def test_a_queue_that_is_not_used_is_taken_again_once_the_server_is_back(
    core: Database, cluster: Cluster, url: str
) -> None:
    holding = Holding(core, None)
    holding.step(0.0)
    assert holding.trouble is None
    cluster.stop()
    holding.step(0.0)
    assert "port" in str(holding.trouble)
    cluster.start()
    until(lambda: holding.step(0.0) and holding.trouble is None)
    assert_taken(url)


# ---- a commit whose answer is lost ----


def test_a_commit_whose_answer_was_lost_is_known_to_have_taken_place(
    far_core: Database, link: Link, url: str
) -> None:
    link.cut = Cut.AFTER_COMMIT
    open_task(far_core, b"talks")
    assert link.cut is Cut.NEVER
    assert tasks(url) == {b"talks"}


def test_a_commit_that_never_arrived_is_known_to_have_failed(
    far_core: Database, link: Link, url: str
) -> None:
    link.cut = Cut.BEFORE_COMMIT
    with pytest.raises(UnavailableError):
        open_task(far_core, b"talks")
    assert tasks(url) == set()
    open_task(far_core, b"talks")
    assert tasks(url) == {b"talks"}


@pytest.mark.parametrize(
    ("cut", "lost"), [(Cut.AFTER_COMMIT, PipelineError), (Cut.BEFORE_COMMIT, type(None))]
)
def test_a_core_that_reported_a_durable_write_as_failed_ends(  # noqa: PLR0913, PLR0917 - what it takes
    far_core: Database,
    link: Link,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    cut: Cut,
    lost: type,
) -> None:
    """The server was away for longer than the answer could wait; what is remembered is wrong, or it is not."""
    monkeypatch.setattr(postgres_server, "DOUBT_S", 0.3)
    link.cut = cut
    link.refusing.set()
    with pytest.raises(UnavailableError):
        open_task(far_core, b"talks")
    link.refusing.clear()
    holding = Holding(far_core, None)
    until(lambda: holding.step(0.0) and (far_core.lost or not holding.trouble))
    assert type(far_core.lost) is lost
    assert tasks(url) == ({b"talks"} if lost is PipelineError else set())


# ---- who gets what ----


def queue_files(core: Database, number: int) -> list[int]:
    """Queue so many files and return their ids."""
    store = TaskStore(core)
    task, _ = store.open_task(b"talks", Source.API, {})
    one = Fingerprint(1, 1)
    new = [
        NewFile(path=b"talks/%d" % n, fingerprint=one, state=FileState.QUEUED, options={})
        for n in range(number)
    ]
    return [file.id for file in store.add_files(task.id, new)]


def test_files_that_another_connection_is_taking_are_left_to_it(
    core: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two connections that write, which the lock never allows: each gets its own files, and at once."""
    everything = set(queue_files(core, 60))
    monkeypatch.setattr(postgres_server, "LOCK", "SELECT true")
    rival = open_database(url)
    taken, go_on = threading.Event(), threading.Event()

    def take_and_wait(connection: Connection) -> list[int]:
        ids = choose(connection, 3)
        taken.set()
        go_on.wait(60)
        return ids

    got: list[int] = []
    thread = threading.Thread(target=lambda: got.extend(core.write(take_and_wait)))
    thread.start()
    assert taken.wait(60)
    started = time.monotonic()
    others = [file.id for file in TaskStore(rival).lease("rival", 60)]
    assert time.monotonic() - started < 30
    go_on.set()
    thread.join(60)
    assert set(got) | set(others) == everything
    assert not set(got) & set(others)
    rival.close()


def test_two_connections_that_lease_at_once_never_get_the_same_file(
    core: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = queue_files(core, 200)
    monkeypatch.setattr(postgres_server, "LOCK", "SELECT true")
    rival = open_database(url)
    got: list[int] = []

    def take(taker: TaskStore) -> None:
        while files := taker.lease("w", 3):
            got.extend(file.id for file in files)

    threads = [threading.Thread(target=take, args=(TaskStore(each),)) for each in (core, rival)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(got) == everything
    rival.close()


def choose(connection: Connection, limit: int) -> list[int]:
    return [each.file_id for each in next_queued(Change(connection, 0.0), limit, solo=False)]
