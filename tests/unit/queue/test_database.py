"""The database under the queue: one owner, durable writes, errors in our words."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from pipeline.errors import (
    ConflictError,
    DatabaseLockedError,
    EnvironmentUnusableError,
    NotFoundError,
    UnavailableError,
    WorkdirUnusableError,
)
from pipeline.queue import sqlite, writer
from pipeline.queue.database import Database, open_database
from pipeline.queue.sqlite import DELETE, WAL, journal_for

REPOSITORY = Path(__file__).parents[3]
SAFE_IN_WAL = [(3, 44, 6), (3, 44, 9), (3, 50, 7), (3, 51, 3), (3, 52, 0), (4, 0, 0)]
NOT_SAFE_IN_WAL = [(3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 0), (3, 51, 2)]

KEEPER = """
import os, sys, time
from pipeline.queue.database import open_database
database = open_database(sys.argv[1])
database.write(lambda c: c.exec_driver_sql("INSERT INTO meta (id, epoch) VALUES (1, 7)"))
print("written", flush=True)
time.sleep(60)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/queue.db"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """Open a database that the test may close or break."""
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def keeper(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Keep the queue open in another process, which wrote epoch 7."""
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER, url], cwd=REPOSITORY, stdout=subprocess.PIPE, env={"PYTHONPATH": "."}
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"written\n"
        yield process
        process.kill()


def epoch(connection: Connection) -> int | None:
    found: int | None = connection.exec_driver_sql("SELECT epoch FROM meta").scalar()
    return found


def set_epoch(value: int) -> Callable[[Connection], object]:
    return lambda connection: connection.exec_driver_sql("REPLACE INTO meta VALUES (1, ?)", (value,))


@pytest.mark.parametrize("version", SAFE_IN_WAL)
def test_wal_is_used_where_sqlite_is_free_of_the_reset_defect(version: tuple[int, ...]) -> None:
    assert journal_for(version) == (WAL, None)


@pytest.mark.parametrize("version", NOT_SAFE_IN_WAL)
def test_the_delete_journal_is_used_elsewhere_and_the_note_says_why(version: tuple[int, ...]) -> None:
    journal, note = journal_for(version)
    assert journal == DELETE
    assert note
    assert ".".join(map(str, version)) in note


@pytest.mark.parametrize(("journal", "mode", "synchronous"), [(WAL, "wal", 2), (DELETE, "delete", 3)])
def test_the_writer_syncs_each_commit_in_both_journals(
    url: str, monkeypatch: pytest.MonkeyPatch, journal: str, mode: str, synchronous: int
) -> None:
    monkeypatch.setattr(sqlite, "journal_for", lambda _version: (journal, None))
    database = open_database(url)
    pragma = database.write(
        lambda c: [c.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    )
    database.close()
    assert pragma == [mode, synchronous]


def test_a_second_core_is_refused_until_the_first_one_closes(database: Database, url: str) -> None:
    with pytest.raises(DatabaseLockedError, match=r"queue\.db"):
        open_database(url)
    database.close()
    open_database(url).close()


def test_a_killed_core_leaves_no_lock_and_loses_no_write(keeper: subprocess.Popen[bytes], url: str) -> None:
    with pytest.raises(DatabaseLockedError):
        open_database(url)
    keeper.send_signal(signal.SIGKILL)
    keeper.wait()
    database = open_database(url)
    with database.read() as connection:
        assert epoch(connection) == 7
    database.close()


def test_anyone_may_look_while_a_core_runs(keeper: subprocess.Popen[bytes], url: str) -> None:
    looking = open_database(url, readonly=True)
    with looking.read() as connection:
        assert epoch(connection) == 7
    with pytest.raises(UnavailableError):
        looking.write(set_epoch(1))
    looking.close()
    assert keeper.poll() is None


def test_who_only_looks_cannot_write_by_a_read(database: Database, url: str) -> None:
    looking = open_database(url, readonly=True)
    with pytest.raises(UnavailableError), looking.read() as connection:
        set_epoch(1)(connection)
    looking.close()
    with database.read() as connection:
        assert epoch(connection) is None


def test_looking_where_no_queue_was_started_makes_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(NotFoundError):
        open_database(url, readonly=True)
    assert list(tmp_path.iterdir()) == []


def test_who_looks_after_a_kill_in_mid_write_sees_the_last_commit(database: Database, tmp_path: Path) -> None:
    """The copies stand for what a killed core left: pages written, the journal to undo them beside."""
    database.write(set_epoch(7))
    left = tmp_path / "left"
    left.mkdir()
    raw = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
    raw.execute("PRAGMA cache_size = 1")
    raw.execute("BEGIN IMMEDIATE")
    raw.execute("UPDATE meta SET epoch = 8")
    insert = "INSERT INTO event VALUES (?, 0, 't', NULL, 'task', 'running', '{}')"
    raw.executemany(insert, [(number,) for number in range(1, 1000)])
    for name in ("queue.db", "queue.db-journal"):
        (left / name).write_bytes((tmp_path / name).read_bytes())
    raw.execute("ROLLBACK")
    raw.close()
    looking = open_database(f"sqlite:///{left}/queue.db", readonly=True)
    with looking.read() as connection:
        assert epoch(connection) == 7
    looking.close()


def test_a_write_that_fails_leaves_nothing_and_raises_what_it_raised(database: Database) -> None:
    def fail(connection: Connection) -> None:
        set_epoch(5)(connection)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.write(fail)
    with database.read() as connection:
        assert epoch(connection) is None


def in_one_group(database: Database, *writes: Callable[[Connection], object]) -> list[object]:
    """Let the writes wait behind one that is under way; return each one's result or exception, in order."""
    begun, go_on = threading.Event(), threading.Event()
    answers: dict[int, object] = {}

    def hold(_connection: Connection) -> None:
        begun.set()
        go_on.wait(10)

    def ask(place: int, write: Callable[[Connection], object]) -> None:
        try:
            answers[place] = database.write(write)
        except Exception as error:  # noqa: BLE001 - the answer
            answers[place] = error

    threads = [threading.Thread(target=ask, args=(-1, hold))]
    threads[0].start()
    begun.wait(10)
    assert database._writer
    for place, write in enumerate(writes):
        threads.append(threading.Thread(target=ask, args=(place, write)))
        threads[-1].start()
        while len(database._writer._jobs) <= place:
            pass
    go_on.set()
    for thread in threads:
        thread.join(10)
    return [answers[place] for place in range(len(writes))]


def test_writes_that_wait_share_one_commit(database: Database) -> None:
    commits: list[object] = []
    event.listen(database._backend.writers, "commit", commits.append)
    assert in_one_group(database, *([lambda _: 1] * 20)) == [1] * 20
    assert len(commits) == 2  # the one that held the others up, and theirs


def behind_one(database: Database, waiting: Iterable[tuple[str, bool]]) -> list[str]:
    """Let writes, urgent or not, wait behind one that is under way; return their names as they ran, commits between."""
    ran: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        begun.set()
        go_on.wait(10)

    event.listen(database._backend.writers, "commit", lambda _connection: ran.append("|"))
    lanes = database._writer
    assert lanes
    threads = [threading.Thread(target=database.write, args=(hold,))]
    threads[0].start()
    begun.wait(10)
    for place, (name, urgent) in enumerate(waiting):
        asked = partial(database.write, lambda _connection, name=name: ran.append(name), urgent=urgent)
        threads.append(threading.Thread(target=asked))
        threads[-1].start()
        while len(lanes._jobs) + len(lanes._urgent) <= place:
            pass
    go_on.set()
    for thread in threads:
        thread.join(10)
    return ran


def test_what_somebody_waits_for_is_written_before_what_came_earlier(database: Database) -> None:
    """In a commit of its own: a directory's hundred files would hold it up."""
    ran = behind_one(database, [("a", False), ("b", False), ("asked", True), ("asked too", True)])
    assert ran == ["|", "asked", "asked too", "|", "a", "b", "|"]


def test_urgent_writes_do_not_starve_the_others(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come: after each group of them the others have a turn."""
    monkeypatch.setattr(writer, "GROUP", 1)
    ran = behind_one(database, [("asked", True), ("asked too", True), ("a", False)])
    assert [each for each in ran if each != "|"] == ["asked", "a", "asked too"]


def test_a_failing_write_takes_none_of_its_group_along(database: Database) -> None:
    def fail(connection: Connection) -> None:
        set_epoch(9)(connection)
        raise KeyError

    answers = in_one_group(database, set_epoch(4), fail, epoch)
    assert isinstance(answers[1], KeyError)
    assert answers[2] == 4


def test_a_full_disk_is_said_in_our_words_and_nobody_of_the_group_is_told_of_success(
    database: Database,
) -> None:
    """SQLite rolls the whole transaction back by itself; max_page_count is its own way to fill a disk."""
    pages = database.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
    database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}"))

    def fill(connection: Connection) -> None:
        connection.exec_driver_sql(
            "INSERT INTO event VALUES (1, 0, 't', NULL, 'task', 'running', hex(randomblob(9999)))"
        )

    answers = in_one_group(database, set_epoch(4), fill, epoch)
    assert isinstance(answers[1], UnavailableError)
    assert "disk is full" in str(answers[1])
    with database.read() as connection:
        told = not isinstance(answers[0], Exception)
        assert told == (epoch(connection) == 4)
    database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000"))
    database.write(fill)


def test_when_sqlite_rolls_back_by_itself_the_whole_group_hears_of_it(database: Database) -> None:
    """As after an I/O error: what came before in the group is gone too."""

    def roll_back(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        raise KeyError("disk")

    answers = in_one_group(database, set_epoch(4), roll_back, set_epoch(5))
    assert [type(answer) for answer in answers] == [KeyError] * 3
    with database.read() as connection:
        assert epoch(connection) is None
    database.write(set_epoch(6))


@pytest.mark.parametrize("took_place", [True, False])
def test_a_commit_that_fails_counts_when_it_took_place_all_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, took_place: bool
) -> None:
    """SQLite reports the folder's flush that fails once the journal is gone: everybody sees that commit."""

    def commit(connection: sqlite3.Connection) -> None:
        if took_place:
            connection.commit()
        raise sqlite3.OperationalError("disk I/O error")

    database.write(set_epoch(1))
    with monkeypatch.context() as failing:
        failing.setattr(database._backend.writers.dialect, "do_commit", commit)
        if took_place:
            database.write(set_epoch(2))
        else:
            with pytest.raises(Exception, match="disk I/O error"):
                database.write(set_epoch(2))
    with database.read() as connection:
        assert epoch(connection) == (2 if took_place else 1)


def test_a_broken_constraint_is_a_conflict(database: Database) -> None:
    with pytest.raises(ConflictError):
        database.write(lambda c: c.exec_driver_sql("INSERT INTO meta (id, epoch) VALUES (2, 1)"))


def test_a_closed_queue_takes_nothing_more(database: Database) -> None:
    database.close()
    with pytest.raises(UnavailableError):
        database.write(set_epoch(1))


def test_a_forked_child_may_not_use_the_connections(database: Database) -> None:
    child = os.fork()
    if child == 0:
        try:
            database.write(set_epoch(1))
        except AssertionError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("name", ["a%20b", "what?mode=ro#x", "été 50%", "\udcff"])
def test_the_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    database = open_database(f"sqlite:///{tmp_path}/{name}/.whisper/queue.db")
    database.write(set_epoch(3))
    database.close()
    assert (tmp_path / name / ".whisper" / "queue.db").stat().st_size > 0


def test_a_folder_that_cannot_be_made_is_a_trouble_of_the_workdir(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkdirUnusableError, match="file"):
        open_database(f"sqlite:///{tmp_path}/file/.whisper/queue.db")


def test_a_database_that_is_a_folder_is_a_trouble_of_the_workdir(tmp_path: Path) -> None:
    (tmp_path / "queue.db").mkdir()
    with pytest.raises(WorkdirUnusableError, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path}/queue.db")


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_damaged_database_is_kept_and_said_to_be_damaged(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(damage)
    with pytest.raises(EnvironmentUnusableError, match="damaged"):
        open_database(f"sqlite:///{path}")
    assert path.read_bytes() == damage


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "django.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (id)")
    other.close()
    with pytest.raises(EnvironmentUnusableError, match="another program"):
        open_database(f"sqlite:///{path}")


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://", "sqlite:///", "sqlite:///:memory:", "queue.db", "", "mysql://u:secret@host/db"),
        *("postgresql+asyncpg://u:secret@host/db", "postgresql://u:secret@host:port/db"),
    ],
)
def test_a_url_that_names_no_queue_is_refused_and_its_password_not_shown(url: str) -> None:
    with pytest.raises(EnvironmentUnusableError, match="--database_url") as refused:
        open_database(url)
    assert "secret" not in str(refused.value)
