"""A queue on a PostgreSQL server: the connection that writes holds an advisory lock, and so is the one core's."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from pipeline.errors import (
    DatabaseLockedError,
    EnvironmentUnusableError,
    PipelineError,
    UnavailableError,
)
from pipeline.queue import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

logger = logging.getLogger(__name__)

OLDEST = 130000  # PostgreSQL 13: pg_xact_status
LOCK_WAIT_S = 3.0  # so long may the server take to notice that a core before us died
DOUBT_S = 5.0  # so long a write whose answer was lost may wait for the truth
POLL_S = 0.1

# one number for the program, one for the schema: queues in different schemas do not shut each other out
LOCK = (
    "SELECT pg_try_advisory_lock(hashtext('whisper-transcription'), hashtext(coalesce(current_schema(), '')))"
)
FACTS = """
    SELECT current_setting('server_version_num')::int, current_setting('server_version'),
           current_setting('server_encoding'), current_setting('fsync'), current_schema() IS NOT NULL
"""
FATE = "SELECT pg_xact_status(%s::xid8)"


class PostgresServer:
    """The Backend of `postgresql://…`.

    The lock lives and dies with the connection that writes, so whoever can write is the core: no other process was,
    nor is. A connection that was lost is replaced, and may go on if nobody else was core in between (the epoch
    tells) and no write became durable that was reported as failed; else this core is lost and has to end.
    """

    def __init__(self, url: str, *, owned: bool) -> None:
        parsed = postgres.parse(url)
        self.name = postgres.shown(parsed)
        self.owned = owned
        self.journal = "PostgreSQL"
        self.note: str | None = None
        self.epoch: int | None = None
        self.lost: PipelineError | None = None
        self._doubt: str | None = None  # a commit that was reported as failed, and may have taken place
        self.readers = postgres.reader_engine(parsed)
        self.writers = postgres.writer_engine(parsed, self._claim)

    def check(self) -> None:
        """Take the lock; raises EnvironmentUnusableError when the server is too old or cannot hold every text."""
        with self.writers.connect() as connection:
            number, version, encoding, fsync, has_schema = connection.exec_driver_sql(FACTS).one()
        self.journal = f"PostgreSQL {version.split()[0]}"
        if number < OLDEST:
            raise EnvironmentUnusableError(f"{self.name}: {self.journal} is too old, 13 is needed")
        if encoding != "UTF8":
            raise EnvironmentUnusableError(
                f"{self.name} is encoded in {encoding}: make one with ENCODING 'UTF8' TEMPLATE template0"
            )
        if not has_schema:
            raise EnvironmentUnusableError(f"{self.name}: no schema of the search_path exists")
        if fsync != "on":
            self.note = f"fsync is off in {self.journal}: a power cut can lose or damage the queue"

    @contextmanager
    def migrating(self) -> Iterator[Engine]:
        """Lend the engine that writes."""
        yield self.writers

    def copy(self, revision: str) -> None:
        """Copy nothing: a server has backups of its own; a migration that fails leaves the old schema."""
        logger.info("migrating %s from schema %s", self.name, revision)

    def way_back(self, revision: str) -> str:
        """Name the dump that operators were told to make."""
        return f"what fits is a dump of it made with schema {revision}"

    def now(self, connection: Connection) -> float:
        """Return the server's time: cores on several machines show one."""
        now: float = connection.info["now"]
        return now

    def in_transaction(self, connection: Connection) -> bool:
        """Tell whether a transaction still stands after an error in it."""
        return postgres.in_transaction(connection)

    def ticket(self, connection: Connection) -> str | None:
        """Return the transaction's number; None when it changed nothing."""
        number = connection.exec_driver_sql("SELECT pg_current_xact_id_if_assigned()::text").scalar()
        return None if number is None else str(number)

    def took_place(self, ticket: str) -> bool:
        """Ask the server about a commit whose answer was lost, for some seconds."""
        deadline = time.monotonic() + DOUBT_S
        while time.monotonic() < deadline and self.lost is None:
            try:
                with self.writers.connect() as connection:
                    fate: str = connection.exec_driver_sql(FATE, (ticket,)).scalar_one()
                    return fate == "committed"
            except (DBAPIError, PipelineError):
                time.sleep(POLL_S)
        self._doubt = ticket
        return False

    def translated(self, error: Exception) -> Exception:
        """Return the error of ours for one of PostgreSQL's."""
        return postgres.translated(error, self.name)

    @contextmanager
    def start_trouble(self) -> Iterator[None]:
        """Say in our words why the database cannot be opened."""
        try:
            yield
        except DBAPIError as error:
            if words := postgres.trouble(error):
                raise EnvironmentUnusableError(f"{self.name}: {words}") from error
            raise

    def close(self) -> None:
        """Close all connections, and with the writer's the lock."""
        self.readers.dispose()
        self.writers.dispose()

    def _claim(self, connection: Any) -> None:
        """Take the lock on a new connection and see that this process is the core still."""
        self._see_epoch(connection)
        self._lock(connection)
        self._see_epoch(connection)  # a core that was quicker has left it again
        self._see_doubt(connection)
        if self.epoch is not None:
            logger.info("%s: connected again", self.name)

    def _lock(self, connection: Any) -> None:
        """Wait a little for the lock: of a core that was killed it is free once the server has noticed."""
        deadline = time.monotonic() + LOCK_WAIT_S
        while not connection.execute(LOCK).fetchone()[0]:
            if time.monotonic() > deadline:
                raise self._locked()
            connection.commit()
            time.sleep(POLL_S)

    def _locked(self) -> PipelineError:
        if self.epoch is None:
            return DatabaseLockedError(self.name)
        return UnavailableError(
            f"{self.name}: another connection holds the queue's lock, perhaps our own of before"
        )

    def _see_epoch(self, connection: Any) -> None:
        """See that no other core began an epoch since ours."""
        if self.epoch is not None and not self.lost:
            found = connection.execute("SELECT epoch FROM meta").fetchone()
            if found is None or found[0] != self.epoch:
                self.lost = DatabaseLockedError(f"{self.name}: another service took over")
        if self.lost:
            raise UnavailableError(str(self.lost))

    def _see_doubt(self, connection: Any) -> None:
        """See that a commit that was reported as failed did fail."""
        if self._doubt and connection.execute(FATE, (self._doubt,)).fetchone()[0] == "committed":
            self.lost = PipelineError(
                f"{self.name}: a write that was reported as failed took place after all; start the service again"
            )
            raise UnavailableError(str(self.lost))
        self._doubt = None
