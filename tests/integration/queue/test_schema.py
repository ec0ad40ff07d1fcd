"""The schema on PostgreSQL: the same by models and migrations, brought up to date at start, all or nothing."""

import re
import subprocess
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from pipeline.errors import DatabaseNewerError, EnvironmentUnusableError
from pipeline.queue.database import open_database
from pipeline.queue.postgres import parse
from pipeline.queue.store import NewFile, TaskStore
from pipeline.queue.tables import metadata
from pipeline.tasks import FileState, Fingerprint, Source
from tests.postgres import Cluster
from tests.unit.queue.test_migrate import HEAD, NAMES, assert_callbacks_were_kept, first_schema

REPOSITORY = Path(__file__).parents[3]
DESCRIBE = """
SELECT format('%s.%s %s %s', table_name, column_name, data_type, is_nullable) FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> 'alembic_version'
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version' ORDER BY 1
"""

Later = Callable[[str], None]


@pytest.fixture
def schema(cluster: Cluster) -> Callable[[str], list[str]]:
    """Return what a database says of its columns, indexes and constraints."""
    return lambda url: cluster.ask(DESCRIBE, url.rpartition("/")[2]).splitlines()


@pytest.fixture
def full(url: str) -> str:
    """Return the URL of a closed queue that holds a task with a thousand files."""
    database = open_database(url)
    store = TaskStore(database)
    store.open_epoch()
    new = [
        NewFile(path=b"talks/\xff%d" % n, fingerprint=Fingerprint(n, n), state=FileState.QUEUED, options={})
        for n in range(1000)
    ]
    store.open_task(b"talks", Source.WATCH, {}, files=new)
    database.close()
    return url


def rows(url: str) -> int:
    database = open_database(url)
    with database.read() as connection:
        number: int = connection.exec_driver_sql("SELECT count(*) FROM file").scalar_one()
    database.close()
    return number


def test_models_and_migrations_make_the_same(
    url: str, new_url: Callable[[], str], schema: Callable[[str], list[str]]
) -> None:
    open_database(url).close()
    by_models = new_url()
    metadata.create_all(create_engine(parse(by_models)))
    assert schema(url) == schema(by_models)
    assert len(schema(url)) > 80


def test_alembic_finds_nothing_to_migrate(url: str) -> None:
    database = open_database(url)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": metadata})
        assert compare_metadata(context, metadata) == []
    database.close()


@pytest.mark.parametrize(("constraint", "names"), NAMES)
def test_the_database_itself_refuses_a_name_that_the_code_does_not_know(
    url: str, schema: Callable[[str], list[str]], constraint: str, names: type[StrEnum]
) -> None:
    open_database(url).close()
    (listed,) = [line for line in schema(url) if f" {constraint} " in line]
    assert re.findall(r"'(\w+)'", listed) == [name.value for name in names]


def test_a_migration_keeps_the_rows(
    full: str,
    schema: Callable[[str], list[str]],
    later: Later,
) -> None:
    later("")
    assert rows(full) == 1000
    assert "newer.id integer NO" in schema(full)


def test_a_callback_of_the_first_schema_becomes_a_row_of_its_own(url: str) -> None:
    first_schema(str(parse(url).render_as_string(hide_password=False)))
    assert_callbacks_were_kept(url)


def test_a_migration_that_fails_leaves_the_old_schema(
    full: str,
    schema: Callable[[str], list[str]],
    later: Later,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = schema(full)
    later("raise ValueError('half way')")
    with pytest.raises(ValueError, match="half way"):
        open_database(full)
    assert schema(full) == before
    monkeypatch.undo()
    assert rows(full) == 1000


def test_a_killed_migration_leaves_the_old_schema(
    full: str,
    tmp_path: Path,
    schema: Callable[[str], list[str]],
    later: Later,
) -> None:
    """The next start completes it."""
    before = schema(full)
    later("os._exit(9)")
    code = (
        "import pathlib, sys; from pipeline.queue import database, migrate;"
        "migrate.MIGRATIONS = pathlib.Path(sys.argv[1]); database.open_database(sys.argv[2])"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "migrations"), full]
    assert subprocess.run(arguments, cwd=REPOSITORY, check=False).returncode == 9
    assert schema(full) == before
    later("")
    assert rows(full) == 1000
    assert "newer.id integer NO" in schema(full)


def test_a_newer_database_is_refused_and_the_dump_named(
    full: str,
    later: Later,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later("")
    open_database(full).close()
    monkeypatch.undo()
    for readonly in (False, True):
        with pytest.raises(DatabaseNewerError, match=f"a dump of it made with schema {HEAD}"):
            open_database(full, readonly=readonly)


def test_who_only_looks_migrates_nothing(
    full: str,
    schema: Callable[[str], list[str]],
    later: Later,
) -> None:
    before = schema(full)
    later("")
    with pytest.raises(EnvironmentUnusableError, match="older schema"):
        open_database(full, readonly=True)
    assert schema(full) == before


def test_alembic_upgrades_from_the_command_line(url: str, schema: Callable[[str], list[str]]) -> None:
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    environment = {"PYTHONPATH": ".", "DATABASE_URL": url}
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)
    migrated = schema(url)
    open_database(url).close()
    assert schema(url) == migrated
