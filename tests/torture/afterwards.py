"""What a database holds once everything has stopped, read with SELECTs of our own, from SQLite or PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

FILES = "SELECT id, path, state, sha256, error_code, token, worker, attempts FROM file ORDER BY id"
ATTEMPTS = "SELECT file_id, token, outcome FROM attempt ORDER BY file_id, token"
EVENTS = (
    "SELECT event.file_id, event.state, file.path FROM event JOIN file ON file.id = event.file_id "
    "WHERE event.kind = 'file' ORDER BY event.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Afterwards:
    """Rows as the queue left them; paths as text."""

    files: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]
    tasks: Mapping[str, str]  # id -> state
    events: Sequence[tuple[int, str, str]]  # file id, state, path; oldest first

    @classmethod
    def read(cls, url: str) -> Afterwards:
        """Read all of it; the core need not run, and is not disturbed if it does."""
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        try:
            with engine.connect() as connection:
                return cls._read(connection)
        finally:
            engine.dispose()

    @classmethod
    def _read(cls, connection: Connection) -> Afterwards:
        return cls(
            files=[_with_text(row) for row in connection.execute(text(FILES)).mappings()],
            attempts=[dict(row) for row in connection.execute(text(ATTEMPTS)).mappings()],
            tasks=dict(connection.execute(text("SELECT id, state FROM task")).all()),
            events=[
                (file_id, state, _name(path)) for file_id, state, path in connection.execute(text(EVENTS))
            ],
        )


def _with_text(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "path": _name(row["path"])}


def _name(path: bytes | memoryview) -> str:
    return bytes(path).decode("utf-8", "surrogateescape")
