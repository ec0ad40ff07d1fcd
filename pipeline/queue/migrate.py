"""Brings the schema of a database up to date at start: a copy first, then every migration in one transaction."""

from __future__ import annotations

import logging
import os
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect

from pipeline.errors import DatabaseNewerError, EnvironmentUnusableError
from pipeline.queue import sqlite

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parents[2] / "migrations"  # beside `pipeline`, in a checkout and when installed


def copy_of(path: Path, revision: str) -> Path:
    """Return where the copy of this database lies that was made before it left `revision`."""
    return path.with_name(f"{path.name}.schema-{revision}.bak")


def check_revision(connection: Connection, path: Path) -> str | None:
    """Return the revision of the schema, None for an empty database.

    Raises DatabaseNewerError when the revision is not one of ours (naming the copy that fits this program), and
    EnvironmentUnusableError when the file is another program's.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None and inspect(connection).get_table_names():
        raise EnvironmentUnusableError(f"{path} holds another program's tables; give another --database_url")
    scripts = _scripts()
    if revision is not None and not _knows(scripts, revision):
        copy = copy_of(path, scripts.get_current_head() or "")
        hint = (
            f"the copy is {copy}"
            if copy.exists()
            else "no copy of the schema this version knows lies beside it"
        )
        raise DatabaseNewerError(f"{path} (schema {revision}; {hint})")
    return revision


def is_current(revision: str | None) -> bool:
    """Tell whether a database of this revision needs no migration."""
    return revision == _scripts().get_current_head()


def upgrade(path: Path, journal: str) -> None:
    """Bring the schema up to date, all or nothing; a database that is not new is copied first."""
    engine = sqlite.writer_engine(path, journal, foreign_keys=False)  # Alembic moves tables to change them
    try:
        with engine.connect() as connection:
            revision = check_revision(connection, path)
        if is_current(revision):
            return
        if revision is not None:
            _copy(path, copy_of(path, revision))
        _run(engine)
    finally:
        engine.dispose()


def _run(engine: Engine) -> None:
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _copy(path: Path, copy: Path) -> None:
    logger.info("migrating %s; a copy of it goes to %s", path, copy)
    unfinished = copy.with_name(f"{copy.name}.tmp")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite.connect(path)) as source, closing(sqlite.connect(unfinished, create=True)) as target:
        source.backup(target)
    _sync(unfinished)
    unfinished.replace(copy)
    _sync(copy.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
