"""What is SQLite's own: connections, journals, the version gate, its errors in our words."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from pipeline.errors import ConflictError, EnvironmentUnusableError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BUSY_TIMEOUT_S = 10.0  # in the DELETE journal a reader delays a commit; reads are tiny
READERS = 8
MORE_READERS = 40  # FastAPI's threads
CHECKED_BYTES = 64 * 1024 * 1024  # quick_check reads all of it: under a second

WAL = "WAL/FULL"
DELETE = "DELETE/EXTRA"
PRAGMAS = {
    # synchronous=FULL syncs the WAL at each commit. A lease writes a dozen pages, so that with SQLite's checkpoint
    # at 1,000 one in eighty waited for one; at 4,096 pages (16 MiB) it is one in 300. A WAL that grew past that is
    # cut back.
    WAL: (
        "journal_mode = WAL",
        "synchronous = FULL",
        "wal_autocheckpoint = 4096",
        "journal_size_limit = 16777216",
    ),
    # EXTRA syncs the folder too once the journal is gone: else a power cut could undo the last commit
    DELETE: ("journal_mode = DELETE", "synchronous = EXTRA"),
}

_TROUBLE = {
    "SQLITE_FULL": "the disk is full; free some space",
    "SQLITE_READONLY": "it cannot be written; make the file and its folder writable",
    "SQLITE_IOERR": "reading or writing it failed; check the disk",
    "SQLITE_CANTOPEN": "it cannot be opened; check that its folder is there, readable and writable",
    "SQLITE_BUSY": "another program holds it",
    "SQLITE_LOCKED": "another program holds it",
}
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def journal_for(version: tuple[int, ...]) -> tuple[str, str | None]:
    """Return the journal that is safe with this SQLite, and why when it is not WAL.

    Up to 3.51.2 a commit can be lost, or the file damaged, when the WAL is reset while another connection writes
    (https://sqlite.org/wal.html#walresetbug); 3.44.6 and 3.50.7 carry the fix too.
    """
    if version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45):
        return WAL, None
    name = ".".join(map(str, version))
    why = (
        f"SQLite {name} can lose commits in WAL mode (mended in 3.51.3), so the slower DELETE journal is used"
    )
    return DELETE, why


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Open the file; without `create` it must be there. Transactions begin only where we say so."""
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode={'rwc' if create else 'rw'}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,  # the pool hands a connection to one thread at a time
    )


def writer_engine(path: Path, journal: str, *, foreign_keys: bool = True) -> Engine:
    """Return the engine of the one writer: every transaction takes the write lock at its start.

    A transaction that reads first and asks for the lock later fails at once, whatever the timeout, when somebody
    wrote in between.
    """
    pragmas = (*PRAGMAS[journal], f"foreign_keys = {foreign_keys:d}", "cache_size = -16384")
    return _engine(path, begin="BEGIN IMMEDIATE", pragmas=pragmas, size=1)


def reader_engine(path: Path) -> Engine:
    """Return the engine of all readers: a transaction sees one state, and cannot write.

    The file is opened for writing all the same: after a kill, the first to open it has to roll its journal back.
    """
    return _engine(path, begin="BEGIN", pragmas=("query_only = ON",), size=READERS)


def _engine(path: Path, *, begin: str, pragmas: Sequence[str], size: int) -> Engine:
    engine = create_engine(
        "sqlite://",
        creator=lambda: connect(path, create=begin == "BEGIN IMMEDIATE"),
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=MORE_READERS,
        json_deserializer=_read_json,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _read_json(text: str) -> Any:
    """Read a JSON column, of which a file's row has three: json takes ten times as long, but reads all it wrote."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # half a surrogate pair, of an argument that was not UTF-8
        return json.loads(text)


def in_transaction(connection: Connection) -> bool:
    """Tell whether SQLite still holds the transaction open: a full disk makes it roll all of it back by itself."""
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101 - invariant
    return raw.in_transaction


def damage(path: Path) -> str | None:
    """Return the first thing that is wrong with the file, None when it is whole or too big to read through."""
    if path.stat().st_size > CHECKED_BYTES:
        return None
    connection = connect(path)
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if not str(getattr(error, "sqlite_errorname", "")).startswith(_DAMAGE):
            raise
        verdict = str(error)
    finally:
        connection.close()
    return None if verdict == "ok" else str(verdict)


def trouble(error: BaseException) -> str | None:
    """Return what to tell a person about a database that cannot be used now; None for any other error."""
    name = str(getattr(getattr(error, "orig", error), "sqlite_errorname", ""))
    return next((words for known, words in _TROUBLE.items() if name.startswith(known)), None)


def translated(error: Exception, path: Path) -> Exception:
    """Return the error of ours for one of SQLite's; any other error as it is."""
    if words := trouble(error):
        ours: Exception = UnavailableError(f"{path}: {words}")
    elif isinstance(error, IntegrityError):
        ours = ConflictError(str(error.orig))
    elif isinstance(error, DBAPIError) and getattr(error.orig, "sqlite_errorname", "").startswith(_DAMAGE):
        ours = EnvironmentUnusableError(damaged(path, str(error.orig)))
    else:
        return error
    ours.__cause__ = error
    return ours


def damaged(path: Path, what: str) -> str:
    """Return what to tell a person whose database is damaged."""
    return (
        f"{path} is damaged ({what}): stop the service and move the file away, or put a copy in its place; "
        "transcripts that are done stay done, the next scan finds them"
    )
