"""The schema: the same by models and migrations, brought up to date at start, all or nothing."""

import logging
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from pipeline.errors import DatabaseNewerError, EnvironmentUnusableError
from pipeline.queue import migrate
from pipeline.queue.database import Database, open_database
from pipeline.queue.records import DeliveryState, EventKind, Outcome
from pipeline.queue.store import TaskStore
from pipeline.queue.tables import metadata
from pipeline.tasks import FileState, Source, TaskState

REPOSITORY = Path(__file__).parents[3]
HEAD = migrate._scripts().get_current_head()
NAMES = [  # that a constraint of the database lists
    ("ck_file_state", FileState),
    ("ck_task_state", TaskState),
    ("ck_task_source", Source),
    ("ck_attempt_outcome", Outcome),
    ("ck_event_kind", EventKind),
    ("ck_delivery_state", DeliveryState),
]

NEXT = """
import os
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade():
    op.create_table("newer", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("UPDATE meta SET epoch = 99")
    {at_last}
"""


TASK_OF_THE_FIRST_SCHEMA = """
INSERT INTO task (id, dirname, state, source, options, priority, callback_url, created_at, updated_at)
VALUES (:id, :dirname, 'pending', 'api', '{}', 0, :callback_url, 1, 1)
"""
FILE_OF_THE_FIRST_SCHEMA = """
INSERT INTO file (task_id, path, directory, state, size, mtime_ns, options, text_key, priority, epoch, token,
attempts, crashes, position, outputs, warnings, created_at, updated_at)
VALUES ('a', :path, :directory, 'queued', 1, 1, '{}', '', 0, 0, 0, 0, 0, 0, '[]', '[]', 1, 1)
"""


def first_schema(url: str) -> None:
    """Make a database as the first migration left it: two tasks, one with a callback and a file."""
    config, engine = migrate._config(), create_engine(url)
    tasks = [
        {"id": "a", "dirname": b"talks", "callback_url": "https://a.example/hook"},
        {"id": "b", "dirname": b"more", "callback_url": None},
    ]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text(TASK_OF_THE_FIRST_SCHEMA), tasks)
        connection.execute(text(FILE_OF_THE_FIRST_SCHEMA), {"path": b"talks/a.mp3", "directory": b"talks"})
    engine.dispose()


def assert_callbacks_were_kept(url: str) -> None:
    """See what became of the database that first_schema made."""
    database = open_database(url)
    store = TaskStore(database)
    assert [each.url for each in store.callbacks("a")] == ["https://a.example/hook"]
    assert store.callbacks("b") == []
    assert [task.dirname for task in map(store.task, "ab") if task] == [b"talks", b"more"]
    assert [file.path for file in store.files("a").rows] == [b"talks/a.mp3"]
    store.cancel("a")
    assert [each.url for each in store.due(0.0, 10)] == ["https://a.example/hook"]
    database.close()


def statements(path: Path) -> list[str]:
    """Return the SQL that made each table and index."""
    connection = sqlite3.connect(path)
    made = connection.execute("SELECT sql FROM sqlite_master WHERE sql > '' AND name NOT LIKE 'alembic%'")
    sql = sorted(row[0] for row in made)
    connection.close()
    return sql


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
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give the program a second migration that ends with this line."""

    def give(at_last: str) -> None:
        scripts = tmp_path / "migrations"
        shutil.copytree(REPOSITORY / "migrations", scripts, dirs_exist_ok=True)
        (scripts / "versions" / "9999_newer.py").write_text(NEXT.format(head=HEAD, at_last=at_last))
        monkeypatch.setattr(migrate, "MIGRATIONS", scripts)

    return give


def test_models_and_migrations_make_the_same_tables_and_indexes(url: str, tmp_path: Path) -> None:
    open_database(url).close()
    by_models = tmp_path / "models.db"
    metadata.create_all(create_engine(f"sqlite:///{by_models}"))
    assert statements(tmp_path / "queue.db") == statements(by_models)


def test_alembic_finds_nothing_to_migrate(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": metadata})
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize(("constraint", "names"), NAMES)
def test_the_database_itself_refuses_a_name_that_the_code_does_not_know(
    url: str, constraint: str, names: type[FileState]
) -> None:
    open_database(url).close()
    sql = " ".join(statements(Path(url.removeprefix("sqlite:///"))))
    listed = re.search(rf"{constraint} CHECK \(\w+ IN \(([^)]*)\)", sql)
    assert listed
    assert listed[1].replace("'", "").split(", ") == [name.value for name in names]


def test_a_new_database_and_one_that_is_current_are_not_copied(url: str, tmp_path: Path) -> None:
    open_database(url).close()
    open_database(url).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["queue.db", "queue.db.lock"]


def test_a_database_is_copied_before_it_is_migrated(
    url: str, tmp_path: Path, later: Callable[[str], None]
) -> None:
    open_database(url).close()
    before = statements(tmp_path / "queue.db")
    later("")
    open_database(url).close()
    assert statements(tmp_path / "queue.db") != before
    assert statements(tmp_path / f"queue.db.schema-{HEAD}.bak") == before


def test_a_migration_that_fails_leaves_the_old_schema(
    url: str, tmp_path: Path, later: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database(url).close()
    before = statements(tmp_path / "queue.db")
    later("raise ValueError('half way')")
    with pytest.raises(ValueError, match="half way"):
        open_database(url)
    assert statements(tmp_path / "queue.db") == before
    monkeypatch.undo()
    open_database(url).close()


def test_a_killed_migration_leaves_the_old_schema(
    url: str, tmp_path: Path, later: Callable[[str], None]
) -> None:
    """The next start completes it."""
    open_database(url).close()
    before = statements(tmp_path / "queue.db")
    later("os._exit(9)")
    code = (
        "import pathlib, sys; from pipeline.queue import database, migrate;"
        "migrate.MIGRATIONS = pathlib.Path(sys.argv[1]); database.open_database(sys.argv[2])"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "migrations"), url]
    assert subprocess.run(arguments, cwd=REPOSITORY, check=False).returncode == 9
    assert statements(tmp_path / "queue.db") == before
    later("")
    open_database(url).close()
    assert any("newer" in sql for sql in statements(tmp_path / "queue.db"))


def test_a_newer_database_is_refused_with_the_copy_that_fits(
    url: str, later: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database(url).close()
    later("")
    open_database(url).close()
    monkeypatch.undo()
    for readonly in (False, True):
        with pytest.raises(DatabaseNewerError, match=rf"queue\.db\.schema-{HEAD}\.bak"):
            open_database(url, readonly=readonly)


def test_who_only_looks_migrates_nothing(url: str, tmp_path: Path, later: Callable[[str], None]) -> None:
    open_database(url).close()
    before = statements(tmp_path / "queue.db")
    later("")
    with pytest.raises(EnvironmentUnusableError, match="older schema"):
        open_database(url, readonly=True)
    assert statements(tmp_path / "queue.db") == before


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_alembic_upgrades_from_the_command_line(url: str, by: str, tmp_path: Path) -> None:
    argument = ["-x", f"url={url}"] if by == "argument" else []
    environment = {"PYTHONPATH": "."} | ({"DATABASE_URL": url} if by == "environment" else {})
    alembic = [sys.executable, "-m", "alembic", *argument, "upgrade", "head"]
    subprocess.run(alembic, cwd=REPOSITORY, env=environment, check=True)
    migrated = statements(tmp_path / "queue.db")
    open_database(url).close()
    assert statements(tmp_path / "queue.db") == migrated


def test_a_callback_of_the_first_schema_becomes_a_row_of_its_own(tmp_path: Path, url: str) -> None:
    """And the tasks keep all else, their files too."""
    first_schema(url)
    assert_callbacks_were_kept(url)
    assert (tmp_path / "queue.db.schema-0001.bak").exists()


def test_migrating_keeps_the_logging_of_the_program(url: str) -> None:
    logging.getLogger("pipeline.queue").disabled = False
    open_database(url).close()
    assert not logging.getLogger("pipeline.queue").disabled


def test_what_forbids_alembic_is_one_line_of_its_own(url: str) -> None:
    """A service that runs owns the queue; an operator sees no traceback."""
    database = open_database(url)
    alembic = [sys.executable, "-m", "alembic", "-x", f"url={url}", "upgrade", "head"]
    ended = subprocess.run(alembic, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    database.close()
    assert ended.returncode != 0
    assert "FAILED: " in ended.stdout + ended.stderr
    assert "already owns this queue" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
