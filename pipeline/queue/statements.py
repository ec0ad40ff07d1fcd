"""What the parts of TaskStore stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pipeline.queue.changes import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from pipeline.queue.database import Database

T = TypeVar("T")


class Statements:
    """Runs statements over one Database.

    `clock` tells the time that rows show, instead of the database's own; nothing is decided by it.
    """

    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._clock = clock

    def _write(self, run: Callable[[Change], T]) -> T:
        """Run one transaction that changes something."""

        def at_once(connection: Connection) -> T:
            now = self._clock() if self._clock else self._database.now(connection)
            return run(Change(connection, now))

        return self._database.write(at_once)
