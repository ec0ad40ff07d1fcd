"""A queue on a server: what is stored as it is, what is asked of the server, and errors in our words."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from api import doctor
from pipeline.errors import (
    ConflictError,
    EnvironmentUnusableError,
    NotFoundError,
    PipelineError,
    UnavailableError,
    UsageError,
)
from pipeline.queue.database import Database, open_database
from pipeline.queue.rows import lease_of
from pipeline.queue.store import TaskStore
from pipeline.settings import Settings
from pipeline.tasks import MediaFile, Problem, Source
from tests.acceptance.harness import free_port, until
from tests.postgres import PASSWORD, USER, Cluster
from tests.unit.queue.test_database import in_one_group

REPOSITORY = Path(__file__).parents[3]
ODD = b"talks/\xff\xfe \\x41 '\";\n\xc3\xa9.mp3"


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


# ---- what is stored ----


def test_paths_are_stored_byte_for_byte(
    database: Database, cluster: Cluster, add: Callable[..., MediaFile]
) -> None:
    """Names need not be UTF-8."""
    assert add(ODD).path == ODD
    assert cluster.ask("SELECT encode(path, 'hex') FROM file", name_of(database.name)) == ODD.hex()


def test_pages_of_odd_names_come_in_the_order_of_their_bytes(
    store: TaskStore, add: Callable[..., MediaFile]
) -> None:
    names = [ODD, b"talks/\x80", b"talks/Z", b"talks/a", b"talks/\xc3\xa9"]
    task_id = {add(name).task_id for name in names}.pop()
    page = store.files(task_id, limit=3)
    rest = store.files(task_id, cursor=page.next_cursor)
    assert [file.path for file in (*page.rows, *rest.rows)] == sorted(names)


def test_an_error_that_holds_nul_is_stored_and_an_id_that_does_is_refused(
    store: TaskStore, add: Callable[..., MediaFile]
) -> None:
    """PostgreSQL has no NUL in texts; FFmpeg's words may hold one, and so may what a client sends."""
    add()
    (leased,) = store.lease("w", 1)
    failed = store.fail(lease_of(leased), Problem(code="corrupt", message="a\0b"))
    assert failed.error == Problem(code="corrupt", message="a\\0b")
    for ask in (store.cancel, lambda task_id: store.tasks(cursor=f"1.0_{task_id}")):
        with pytest.raises(UsageError):
            ask("a\0b")


def test_a_cursor_with_a_large_id_finds_nothing(store: TaskStore, add: Callable[..., MediaFile]) -> None:
    task_id = add().task_id
    assert store.files(task_id, cursor=f"{b'z'.hex()}_{10**17}").rows == ()
    assert store.changed_since(2**62) == []


def test_times_are_the_servers(core: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores on several machines show one clock; nothing is decided by it."""
    before = time.time()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    task, _ = TaskStore(core).open_task(b"talks", Source.API, {})
    assert before - 1 <= task.created_at <= before + 60


# ---- what is asked of the server ----


def test_what_is_answered_is_on_the_disk_whatever_the_servers_default(cluster: Cluster, url: str) -> None:
    cluster.ask(f"ALTER DATABASE {name_of(url)} SET synchronous_commit = off")
    database = open_database(url)
    shown = database.write(lambda c: c.exec_driver_sql("SHOW synchronous_commit").scalar())
    database.close()
    assert shown == "on"


@pytest.mark.parametrize(("setting", "value"), [("tcp_keepalives_idle", "5"), ("tcp_user_timeout", "10000")])
def test_the_server_soon_lets_go_of_a_machine_that_vanished(core: Database, setting: str, value: str) -> None:
    """Keepalives do it where all is answered, the other where an answer is on its way (else 15 minutes)."""
    assert core.write(lambda c: c.exec_driver_sql(f"SHOW {setting}").scalar()) == value


def test_what_the_url_says_of_the_connection_holds(url: str) -> None:
    database = open_database(f"{url}?application_name=mine&connect_timeout=9")
    assert database.write(lambda c: c.exec_driver_sql("SHOW application_name").scalar()) == "mine"
    database.close()


def test_a_reader_sees_one_state_whatever_is_written_meanwhile(core: Database) -> None:
    store = TaskStore(core)
    with core.read() as connection:
        count = "SELECT count(*) FROM task"
        assert connection.exec_driver_sql(count).scalar() == 0
        store.open_task(b"talks", Source.API, {})
        assert connection.exec_driver_sql(count).scalar() == 0


def test_a_failing_write_takes_none_of_its_group_along(core: Database) -> None:
    """Of the writes in one commit one breaks a constraint, one raises; PostgreSQL would refuse all that follow."""

    def break_constraint(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO meta (id, epoch) VALUES (2, 1)")

    def fail(connection: Connection) -> None:
        begin_epoch(8)(connection)
        raise KeyError("mine")

    answers = in_one_group(core, begin_epoch(4), break_constraint, fail, epoch)
    assert [type(answer) for answer in answers[1:3]] == [ConflictError, KeyError]
    assert answers[3] == 4
    with core.read() as connection:
        assert epoch(connection) == 4


def begin_epoch(number: int) -> Callable[[Connection], object]:
    sql = "INSERT INTO meta VALUES (1, %s) ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch"
    return lambda connection: connection.exec_driver_sql(sql, (number,))


def epoch(connection: Connection) -> int | None:
    found: int | None = connection.exec_driver_sql("SELECT epoch FROM meta").scalar()
    return found


def test_a_table_that_somebody_else_locks_makes_a_write_fail_in_our_words(
    core: Database, cluster: Cluster, url: str
) -> None:
    core.write(lambda c: c.exec_driver_sql("SET lock_timeout = '200ms'"))
    holder = cluster.hold("LOCK TABLE task", name_of(url))
    try:
        with pytest.raises(UnavailableError, match="another program holds a lock"):
            TaskStore(core).open_task(b"talks", Source.API, {})
    finally:
        holder.kill()
        holder.wait()


def test_a_server_that_does_not_sync_is_said_to_lose_work_in_a_power_cut(cluster: Cluster, url: str) -> None:
    for change, then in (("SET fsync = off", "off"), ("RESET fsync", "on")):
        cluster.ask(f"ALTER SYSTEM {change}")
        cluster.ask("SELECT pg_reload_conf()")
        until(lambda then=then: cluster.ask("SHOW fsync") == then)  # the server reads it when it has time
        if then == "off":
            database = open_database(url)
            database.close()
    assert "fsync is off" in str(database.note)


# ---- errors in our words ----


def refused(
    url: str, *, readonly: bool = False, error: type[PipelineError] = EnvironmentUnusableError
) -> str:
    """Return what is said when a queue cannot be opened; never the password, quoted or not."""
    with pytest.raises(error) as raised:
        open_database(url, readonly=readonly)
    said = str(raised.value)
    assert PASSWORD not in said
    assert "p%40ss" not in said
    return said


def test_a_wrong_password_is_said_to_be_wrong(cluster: Cluster) -> None:
    said = refused(cluster.url(password="p@ssé"))  # noqa: S106 - a wrong one
    assert 'password authentication failed for user "whisper" (check user and password)' in said


def test_a_server_that_does_not_run_is_said_not_to_be_reached(cluster: Cluster) -> None:
    nobody = free_port()
    said = refused(cluster.url().replace(f":{cluster.port}/", f":{nobody}/"))
    assert f"port {nobody} failed: Connection refused (does the server run" in said


def test_a_host_that_does_not_exist_is_said_not_to_be_reached(cluster: Cluster) -> None:
    said = refused(cluster.url().replace("127.0.0.1", "no-such-host.invalid"))
    assert "no-such-host.invalid" in said
    assert "does the server run" in said


def test_a_database_that_does_not_exist_is_to_be_created(cluster: Cluster) -> None:
    assert 'database "nowhere" does not exist (create it: createdb NAME)' in refused(cluster.url("nowhere"))


def test_a_database_that_cannot_hold_every_text_is_refused(cluster: Cluster) -> None:
    url = cluster.create("narrow", "ENCODING 'LATIN1' TEMPLATE template0")
    assert "ENCODING 'UTF8'" in refused(url)


def test_a_user_who_may_not_make_tables_is_told_so(cluster: Cluster, url: str) -> None:
    cluster.ask("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    cluster.ask("REVOKE CREATE ON SCHEMA public FROM PUBLIC", name_of(url))
    said = refused(url.replace(f"//{USER}", "//guest").replace("p%40ss%3Aw%2Frd%20%2541", "guest"))
    assert "let it own the database" in said


def test_another_programs_database_is_left_alone(cluster: Cluster, url: str) -> None:
    cluster.ask("CREATE TABLE theirs (id int)", name_of(url))
    assert "another program's tables" in refused(url)
    assert cluster.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name_of(url)) == "1"


def test_looking_where_no_queue_was_started_makes_none(cluster: Cluster, url: str) -> None:
    assert "no service was started there" in refused(url, readonly=True, error=NotFoundError)
    assert cluster.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name_of(url)) == "0"


def test_without_psycopg_the_extra_is_named(url: str) -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None;"
        "from pipeline.queue.database import open_database; open_database(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, url]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False).stderr
    assert "EnvironmentUnusableError" in said
    assert "pip install 'whisper-transcription[postgres]'" in said


def test_doctor_names_the_server_without_the_password(url: str, tmp_path: Path) -> None:
    said = doctor._database(Settings(workdir=tmp_path, state_dir=tmp_path, database_url=url))
    assert said.startswith("postgresql://whisper:***@127.0.0.1")
    assert PASSWORD not in said


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_schemes_that_people_write_are_understood(url: str, scheme: str) -> None:
    database = open_database(url.replace("postgresql", scheme, 1))
    assert database.journal.startswith("PostgreSQL 1")
    assert database.name.startswith("postgresql://whisper:***@127.0.0.1")
    database.close()
