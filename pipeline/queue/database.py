"""The database under the queue: one core owns it, one thread writes it, anyone may take a short look."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from pipeline.errors import EnvironmentUnusableError, NotFoundError, PipelineError, UnavailableError
from pipeline.queue import migrate, postgres, postgres_server, sqlite_file
from pipeline.queue.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from pipeline.queue.backend import Backend

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Database:
    """An open queue. `write` is durable when it returns; `read` is a short look at one consistent state."""

    def __init__(self, backend: Backend) -> None:
        self.name = backend.name
        self.journal = backend.journal if backend.owned else "read only"
        self.note = backend.note  # why the journal is not the best there is
        self._backend = backend
        self._pid = os.getpid()
        self._writer = Writer(backend) if backend.owned else None

    @property
    def lost(self) -> PipelineError | None:
        """Why this process is no longer the core of the queue and has to end; None as long as it is."""
        return self._backend.lost

    def write(self, run: Callable[[Connection], T], *, urgent: bool = False) -> T:
        """Run `run` in a transaction; return its result once that is on the disk, or raise its exception.

        An urgent one goes before those that are not.
        Raises UnavailableError when the database cannot be written now; nothing of the write remains then.
        """
        assert os.getpid() == self._pid, "a database does not survive a fork"  # noqa: S101 - invariant
        if self._writer is None:
            raise UnavailableError(f"{self.name} was opened only to be read")
        result: T = self._writer.write(run, urgent=urgent)
        return result

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Lend a connection that sees one state; be quick, in the DELETE journal it holds commits up."""
        assert os.getpid() == self._pid, "a database does not survive a fork"  # noqa: S101 - invariant
        try:
            with self._backend.readers.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise self._backend.translated(error) from error

    def now(self, connection: Connection) -> float:
        """Return the time that rows show: seconds since the epoch, of the transaction's start."""
        return self._backend.now(connection)

    def began(self, epoch: int) -> None:
        """Remember the epoch of this core: in another one it would be no core any more."""
        self._backend.epoch = epoch

    def close(self) -> None:
        """Finish what waits to be written, close all connections and free the queue for the next core."""
        if self._writer:
            self._writer.close()
        self._backend.close()


def open_database(url: str, *, readonly: bool = False) -> Database:
    """Open the queue at `url`, making and migrating it as needed; `readonly` looks at it as it is.

    Raises DatabaseLockedError when another core owns it, DatabaseNewerError, WorkdirUnusableError when the folder
    cannot be made or written, NotFoundError when there is nothing to look at, EnvironmentUnusableError otherwise.
    """
    backend = backend_of(url, owned=not readonly)
    try:
        with backend.start_trouble():
            _look_at(backend) if readonly else _own(backend)
    except BaseException:
        backend.close()
        raise
    return Database(backend)


def shown(url: str) -> str:
    """Return a database's URL for people: without the password."""
    return url if url.startswith(sqlite_file.SCHEME) else postgres.shown(postgres.parse(url))


def backend_of(url: str, *, owned: bool) -> Backend:
    """Return what a URL names, owned by this process or only to be looked at."""
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme == "sqlite" and url.startswith(sqlite_file.SCHEME):
        return sqlite_file.SQLiteFile(sqlite_file.path_of(url), owned=owned)
    if scheme in ("postgres", "postgresql"):
        return postgres_server.PostgresServer(url, owned=owned)
    raise EnvironmentUnusableError(
        f"--database_url names {scheme!r}: give sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
    )


def _own(backend: Backend) -> None:
    backend.check()
    migrate.upgrade(backend)
    if backend.note:
        logger.debug("%s", backend.note)  # a service warns of it


def _look_at(backend: Backend) -> None:
    with backend.readers.connect() as connection:
        revision = migrate.check_revision(connection, backend)
    if revision is None:
        raise NotFoundError(f"there is no queue at {backend.name}: no service was started there")
    if not migrate.is_current(revision):
        raise EnvironmentUnusableError(
            f"{backend.name} has an older schema; a service that starts migrates it"
        )


@contextmanager
def open_for_migration(url: str) -> Iterator[Connection]:
    """Lend a connection in a transaction to Alembic's command line, owning the database as a core would."""
    backend = backend_of(url, owned=True)
    try:
        with backend.start_trouble(), backend.migrating() as engine, engine.begin() as connection:
            yield connection
    finally:
        backend.close()
