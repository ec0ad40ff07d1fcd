"""What is PostgreSQL's own: connections, its errors in our words. Needs the extra `postgres` (psycopg 3)."""

from __future__ import annotations

import re
import select
import time
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, InvalidatePoolError

from pipeline.errors import ConflictError, EnvironmentUnusableError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

EXTRA = "pip install 'whisper-transcription[postgres]'"
READERS = 8
MORE_READERS = 40  # FastAPI's threads
FUSE_S = 1.0
SECRETS = frozenset({"password", "sslpassword"})

CONNECTING = {
    "connect_timeout": 3,  # s; stages take a core that is mute for 8 s to be gone
    "application_name": "whisper-transcription",
    # a server that vanished is noticed in about ten seconds, by us …
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms
}
PREPARING = (
    # … and a machine of ours that vanished by the server, which then frees the lock for the next core
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = '10s'",  # keepalives rest while an answer is on its way: that would be sent for 15 minutes
    "SET lock_timeout = '10s'",  # as SQLite's busy timeout
)
READING = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
WRITING = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
    # what is answered is on the disk, whatever the server's default
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
)

_THEN = "work goes on by itself once that is mended"
_TROUBLE = {  # by the first letters of SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
    "53100": "the server's disk is full; free some space",
    "53": "the server is short of something",
    "55P03": "another program holds a lock on the tables",
    "40": "another program wrote to the tables",
    "25006": "it can only be read: is it a standby?",
    "57": "the server stopped or cut the connection",
    "58": "the server had an I/O error",
    "42501": "the user may not do this: let it own the database (ALTER DATABASE … OWNER TO …)",
    "08": "the connection was lost",
}
_HINTS = (
    (r"password|authentication|pg_hba|role .* does not exist", "check user and password"),
    (r"database .* does not exist", "create it: createdb NAME"),
    (
        r"refused|no such file|resolve|translate host|timeout|unreachable",
        "does the server run, and is it reachable from here?",
    ),
)


def parse(url: str) -> URL:
    """Return a URL for psycopg; raises EnvironmentUnusableError, without a password in it."""
    try:
        found = make_url(re.sub(r"^postgres(ql)?(\+psycopg)?:", "postgresql+psycopg:", url))
    except (ArgumentError, ValueError):
        found = None
    if found is None or found.drivername != "postgresql+psycopg":
        scheme = url.partition(":")[0]
        raise EnvironmentUnusableError(
            f"--database_url ({scheme}:…) cannot be read: give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
            "with any of @:/%# in the password as %40 and so on"
        )
    return found


def shown(url: URL) -> str:
    """Return a URL for people: no password, no driver."""
    return url.set(drivername="postgresql").difference_update_query(SECRETS).render_as_string()


class Fuse:
    """Makes those who wait for a server that cannot be reached hear of it at once, not each after a timeout."""

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._until = 0.0

    def connect(self, connect: Callable[[], Any]) -> Any:
        """Connect; for a second after a failure, fail alike."""
        if self._error and time.monotonic() < self._until:
            raise self._error.with_traceback(None)
        try:
            return connect()
        except Exception as error:
            self._error, self._until = error, time.monotonic() + FUSE_S
            raise


def engine(url: URL, prepare: Callable[[Any], None], *, size: int, more: int) -> Engine:
    """Return an engine; `prepare` gets every new connection first. Lost ones are replaced before they are lent."""
    ours = {name: value for name, value in CONNECTING.items() if name not in url.query}
    try:
        made = create_engine(url, connect_args=ours, pool_size=size, max_overflow=more)
    except ImportError as error:
        raise EnvironmentUnusableError(f"PostgreSQL as the queue needs psycopg ({error}): {EXTRA}") from error

    fuse = Fuse()

    @event.listens_for(made, "do_connect")
    def connect(dialect: Any, _record: object, words: list[Any], named: dict[str, Any]) -> Any:
        return fuse.connect(lambda: dialect.connect(*words, **named))

    @event.listens_for(made, "connect")
    def prepare_it(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            for statement in PREPARING:
                cursor.execute(statement)
        prepare(connection)
        connection.commit()

    @event.listens_for(made, "checkout")
    def see_that_it_lives(connection: Any, _record: object, _lent: object) -> None:
        if not _lives(connection, made.dialect):
            raise InvalidatePoolError

    return made


def _lives(connection: Any, dialect: Dialect) -> bool:
    """Tell whether the server holds a connection still.

    It is asked only where it said something by itself, as it does when it hangs up: asking each time, as
    `pool_pre_ping` does, costs as much as a small read.
    """
    try:
        return not _has_news(connection.fileno()) or dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        return False


def _has_news(descriptor: int) -> bool:
    watch = select.poll()
    watch.register(descriptor, select.POLLIN)
    return bool(watch.poll(0))


def reader_engine(url: URL) -> Engine:
    """Return the engine of all readers: a transaction sees one state, and cannot write."""
    return engine(url, lambda connection: connection.execute(READING), size=READERS, more=MORE_READERS)


def writer_engine(url: URL, claim: Callable[[Any], None]) -> Engine:
    """Return the engine of the one writer: a connection that `claim` refuses does not come to be."""

    def prepare(connection: Any) -> None:
        for statement in WRITING:
            connection.execute(statement)
        claim(connection)

    made = engine(url, prepare, size=1, more=0)

    @event.listens_for(made, "begin")
    def look_at_the_clock(connection: Connection) -> None:
        clock = connection.exec_driver_sql("SELECT extract(epoch FROM now())::float8")
        connection.info["now"] = clock.scalar_one()

    return made


def in_transaction(connection: Connection) -> bool:
    """Tell whether the transaction stands, be it after an error."""
    if connection.invalidated:
        return False
    raw: Any = connection.connection.dbapi_connection
    return not raw.closed and raw.info.transaction_status.name in ("INTRANS", "INERROR")


def trouble(error: BaseException) -> str | None:
    """Return what to tell a person about a database that cannot be used now; None for any other error."""
    cause: Any = getattr(error, "orig", error)
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return _connecting(str(cause)) if type(cause).__name__ == "OperationalError" else None
    words = next((words for known, words in _TROUBLE.items() if state.startswith(known)), None)
    return words and f"{words} ({_line(str(cause))})"


def translated(error: Exception, name: str) -> Exception:
    """Return the error of ours for one of PostgreSQL's; any other error as it is."""
    if words := trouble(error):
        ours: Exception = UnavailableError(f"{name}: {words}; {_THEN}")
    elif isinstance(error, IntegrityError):
        ours = ConflictError(str(error.orig))
    elif isinstance(error, DataError) and getattr(error.orig, "sqlstate", None) is None:
        ours = UsageError(f"a value that PostgreSQL cannot hold: {error.orig}")  # NUL in a text
    elif isinstance(error, DBAPIError) and error.connection_invalidated:
        ours = UnavailableError(f"{name}: the connection was lost; {_THEN}")
    else:
        return error
    ours.__cause__ = error
    return ours


def _connecting(message: str) -> str:
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, message, re.IGNORECASE)), None)
    return f"{_line(message)}{f' ({hint})' if hint else ''}"


def _line(message: str) -> str:
    return (
        message.strip().splitlines()[0].removeprefix("connection failed: ")
        if message.strip()
        else "no reason given"
    )
