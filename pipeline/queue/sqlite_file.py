"""A queue in a file of SQLite's: one core owns it by a lock on a file beside it."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from pipeline.durable import flush
from pipeline.errors import (
    EnvironmentUnusableError,
    NotFoundError,
    PipelineError,
    UnavailableError,
    WorkdirUnusableError,
)
from pipeline.queue import lock, sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

logger = logging.getLogger(__name__)

SCHEME = "sqlite:///"


class SQLiteFile:
    """The Backend of `sqlite:///PATH`.

    A commit that fails may have taken place: with synchronous=EXTRA the folder is flushed once the journal is gone, and
    SQLite reports an error of that. A connection of its own then tells what others see.
    """

    epoch: int | None = None
    lost: PipelineError | None = None  # never: nobody takes the lock of a file away

    def __init__(self, path: Path, *, owned: bool) -> None:
        """Take the lock of a file that is to be owned (made if need be), or find the one to look at."""
        self.path = path
        self.name = str(path)
        self.owned = owned
        if not owned and not path.exists():
            raise NotFoundError(f"there is no queue at {path}: no service was started there")
        self._lock = lock.take(path) if owned else None
        self.journal, self.note = sqlite.journal_for(sqlite3.sqlite_version_info)
        self.readers = sqlite.reader_engine(path)
        self.writers = sqlite.writer_engine(path, self.journal)
        self._witness: sqlite3.Connection | None = None

    def check(self) -> None:
        """Raise EnvironmentUnusableError when the file is damaged."""
        if self.path.exists() and (what := sqlite.damage(self.path)):
            raise EnvironmentUnusableError(sqlite.damaged(self.path, what))

    @contextmanager
    def migrating(self) -> Iterator[Engine]:
        """Lend an engine without foreign keys: Alembic moves tables to change them."""
        engine = sqlite.writer_engine(self.path, self.journal, foreign_keys=False)
        try:
            yield engine
        finally:
            engine.dispose()

    def copy(self, revision: str) -> None:
        """Copy the file by SQLite's backup, whole or not at all."""
        copy = self._copy_of(revision)
        logger.info("migrating %s; a copy of it goes to %s", self.path, copy)
        unfinished = copy.with_name(f"{copy.name}.tmp")
        unfinished.unlink(missing_ok=True)
        with (
            closing(sqlite.connect(self.path)) as source,
            closing(sqlite.connect(unfinished, create=True)) as target,
        ):
            source.backup(target)
        flush(unfinished)
        unfinished.replace(copy)
        flush(copy.parent)

    def way_back(self, revision: str) -> str:
        """Name the copy, if there is one."""
        copy = self._copy_of(revision)
        if copy.exists():
            return f"the copy is {copy}"
        return "no copy of the schema this version knows lies beside it"

    def now(self, _connection: Connection) -> float:
        """Return this machine's time: the file lies on it."""
        return time.time()

    def in_transaction(self, connection: Connection) -> bool:
        """Tell whether SQLite still holds it open: a full disk makes it roll all of it back by itself."""
        return sqlite.in_transaction(connection)

    def ticket(self, _connection: Connection) -> str | None:
        """Return the version of the file that others see, which the commit is to change."""
        return self._seen_version()

    def took_place(self, ticket: str) -> bool:
        """Look whether others see a commit that was reported as failed."""
        return self._seen_version() not in (None, ticket)

    def translated(self, error: Exception) -> Exception:
        """Return the error of ours for one of SQLite's."""
        return sqlite.translated(error, self.path)

    @contextmanager
    def start_trouble(self) -> Iterator[None]:
        """Say in our words why the file cannot be opened."""
        try:
            yield
        except (DBAPIError, sqlite3.DatabaseError, UnavailableError) as error:
            if words := sqlite.trouble(error) or sqlite.trouble(error.__cause__ or error):
                raise WorkdirUnusableError(f"{self.path}: {words}") from error
            raise

    def close(self) -> None:
        """Close all connections, then let go of the lock."""
        self.readers.dispose()
        self.writers.dispose()
        if self._witness is not None:
            self._witness.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _seen_version(self) -> str | None:
        """Return what changes with every commit of another connection; None where it cannot be seen now.

        A transaction too big for the cache has locked readers out already: they must not wait for it.
        """
        try:
            if self._witness is None:
                self._witness = sqlite.connect(self.path)
                self._witness.execute("PRAGMA busy_timeout = 0")
            return str(self._witness.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return None

    def _copy_of(self, revision: str) -> Path:
        return self.path.with_name(f"{self.path.name}.schema-{revision}.bak")


def path_of(url: str) -> Path:
    """Return the file that a URL names, taken literally: `%20` stays `%20`."""
    name = url.removeprefix(SCHEME)
    if name in ("", ":memory:"):
        raise EnvironmentUnusableError(f"--database_url {url!r} names no file: give {SCHEME}PATH")
    return Path(name).absolute()
