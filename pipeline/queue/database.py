"""The database under the queue: one core owns it, one thread writes it, anyone may take a short look."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from pipeline.errors import (
    DatabaseLockedError,
    EnvironmentUnusableError,
    NotFoundError,
    UnavailableError,
    WorkdirUnusableError,
)
from pipeline.queue import migrate, sqlite
from pipeline.queue.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

logger = logging.getLogger(__name__)

T = TypeVar("T")

SCHEME = "sqlite:///"


class Database:
    """An open queue. `write` is durable when it returns; `read` is a short look at one consistent state."""

    def __init__(self, path: Path, *, journal: str, note: str | None, lock: int | None) -> None:
        self.path = path
        self.journal = journal
        self.note = note  # why the journal is not WAL
        self._lock = lock
        self._pid = os.getpid()
        self._readers = sqlite.reader_engine(path)
        self._writer = None if lock is None else self._start_writer()

    def write(self, run: Callable[[Connection], T]) -> T:
        """Run `run` in a transaction; return its result once that is on the disk, or raise its exception.

        Raises UnavailableError when the database cannot be written now; nothing of the write remains then.
        """
        assert os.getpid() == self._pid, "a database does not survive a fork"  # noqa: S101 - invariant
        if self._writer is None:
            raise UnavailableError(f"{self.path} was opened only to be read")
        result: T = self._writer.write(run)
        return result

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Lend a connection that sees one state; be quick, in the DELETE journal it holds commits up."""
        assert os.getpid() == self._pid, "a database does not survive a fork"  # noqa: S101 - invariant
        try:
            with self._readers.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise sqlite.translated(error, self.path) from error

    def close(self) -> None:
        """Finish what waits to be written, close all connections and free the queue for the next core."""
        if self._writer:
            self._writer.close()
        self._readers.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _start_writer(self) -> Writer:
        return Writer(
            sqlite.writer_engine(self.path, self.journal),
            in_transaction=sqlite.in_transaction,
            translate=lambda error: sqlite.translated(error, self.path),
        )


def open_database(url: str, *, readonly: bool = False) -> Database:
    """Open the queue at `sqlite:///PATH`, making and migrating it as needed; `readonly` looks at it as it is.

    Raises DatabaseLockedError when another core owns it, DatabaseNewerError, WorkdirUnusableError when the folder
    cannot be made or written, NotFoundError when there is nothing to look at, EnvironmentUnusableError otherwise.
    """
    path = database_path(url)
    if readonly:
        return _look_at(path)
    lock = _lock(path)
    try:
        return _own(path, lock)
    except BaseException:
        os.close(lock)
        raise


def database_path(url: str) -> Path:
    """Return the file a database URL names, taken literally: `%20` stays `%20`."""
    name = url.removeprefix(SCHEME)
    if name in ("", url, ":memory:"):
        raise EnvironmentUnusableError(f"--database_url {url!r}: only {SCHEME}PATH is supported")
    return Path(name).absolute()


def _own(path: Path, lock: int) -> Database:
    journal, note = sqlite.journal_for(sqlite3.sqlite_version_info)
    with _start_trouble(path):
        if path.exists() and (what := sqlite.damage(path)):
            raise EnvironmentUnusableError(sqlite.damaged(path, what))
        migrate.upgrade(path, journal)
    if note:
        logger.debug("%s", note)  # a service warns of it
    return Database(path, journal=journal, note=note, lock=lock)


def _look_at(path: Path) -> Database:
    if not path.exists():
        raise NotFoundError(f"there is no queue at {path}: no service was started there")
    database = Database(path, journal="read only", note=None, lock=None)
    with _start_trouble(path), database.read() as connection:
        if not migrate.is_current(migrate.check_revision(connection, path)):
            raise EnvironmentUnusableError(
                f"{path} has an older schema; start the service once, it migrates it"
            )
    return database


def _lock(path: Path) -> int:
    """Take the lock that makes this process the one core, in a file beside the database.

    Not in the database itself: closing any other descriptor of that file would drop SQLite's own locks.
    """
    name = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise WorkdirUnusableError(
            f"{name} cannot be written ({error.strerror}); mend its permissions"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise DatabaseLockedError(str(path)) from error
        raise EnvironmentUnusableError(
            f"{name} cannot be locked ({error.strerror}); use a local disk"
        ) from error
    return descriptor


@contextmanager
def _start_trouble(path: Path) -> Iterator[None]:
    """Say in our words why a database cannot be opened."""
    try:
        yield
    except (DBAPIError, sqlite3.DatabaseError, UnavailableError) as error:
        if words := sqlite.trouble(error) or sqlite.trouble(error.__cause__ or error):
            raise WorkdirUnusableError(f"{path}: {words}") from error
        raise


@contextmanager
def open_for_migration(url: str) -> Iterator[Connection]:
    """Lend a connection in a transaction to Alembic's command line, owning the database as a core would."""
    path = database_path(url)
    lock = _lock(path)
    try:
        journal, _note = sqlite.journal_for(sqlite3.sqlite_version_info)
        with sqlite.writer_engine(path, journal, foreign_keys=False).begin() as connection:
            yield connection
    finally:
        os.close(lock)
