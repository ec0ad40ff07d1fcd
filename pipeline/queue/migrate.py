"""Brings the schema of a database up to date at start: a copy first, then every migration in one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import inspect

from pipeline.errors import DatabaseNewerError, EnvironmentUnusableError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from pipeline.queue.backend import Backend

MIGRATIONS = Path(__file__).parents[2] / "migrations"  # beside `pipeline`, in a checkout and when installed


def check_revision(connection: Connection, backend: Backend) -> str | None:
    """Return the revision of the schema, None for an empty database.

    Raises DatabaseNewerError when the revision is not one of ours (naming the way back to one that is), and
    EnvironmentUnusableError when the tables are another program's.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None and inspect(connection).get_table_names():
        raise EnvironmentUnusableError(
            f"{backend.name} holds another program's tables; give another --database_url"
        )
    scripts = _scripts()
    if revision is not None and not _knows(scripts, revision):
        way_back = backend.way_back(scripts.get_current_head() or "")
        raise DatabaseNewerError(f"{backend.name} (schema {revision}; {way_back})")
    return revision


def is_current(revision: str | None) -> bool:
    """Tell whether a database of this revision needs no migration."""
    return revision == _scripts().get_current_head()


def upgrade(backend: Backend) -> None:
    """Bring the schema up to date, all or nothing; a database that is not new is copied first."""
    with backend.migrating() as engine:
        with engine.connect() as connection:
            revision = check_revision(connection, backend)
        if is_current(revision):
            return
        if revision is not None:
            backend.copy(revision)
        _run(engine)


def _run(engine: Engine) -> None:
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _knows(scripts: ScriptDirectory, revision: str) -> bool:
    try:
        return scripts.get_revision(revision) is not None
    except CommandError:
        return False
