"""What the parts of TaskStore stand on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from pipeline.queue.changes import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from pipeline.queue.database import Database

T = TypeVar("T")


class Statements:
    """Runs statements over one Database. `clock` tells the time that rows show; nothing is decided by it."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def _write(self, run: Callable[[Change], T]) -> T:
        """Run one transaction that changes something."""

        def at_once(connection: Connection) -> T:
            return run(Change(connection, self._clock()))

        return self._database.write(at_once)
