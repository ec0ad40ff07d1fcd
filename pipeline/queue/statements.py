"""What the parts of TaskStore stand on."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Self, TypeVar

from pipeline.queue.changes import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from pipeline.queue.database import Database
    from pipeline.tasks import MediaFile, Task

    Listener = Callable[[Sequence[Task], Sequence[MediaFile]], None]

T = TypeVar("T")


class Statements:
    """Runs statements over one Database.

    `clock` tells the time that rows show, instead of the database's own; nothing is decided by it. Each of
    `listeners` hears of every task and file that was made or changed its state, once that is durable.
    `callback_url` is told of the ends of new tasks that name no callback.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] | None = None,
        *,
        listeners: Sequence[Listener] = (),
        callback_url: str | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._listeners = listeners
        self._callback_url = callback_url
        self._urgent = False

    def ahead(self) -> Self:
        """Return this store for those who wait for an answer: its writes go before what nobody waits for."""
        twin = copy(self)
        twin._urgent = True  # noqa: SLF001 - its own kind
        return twin

    def _write(self, run: Callable[[Change], T]) -> T:
        """Run one transaction that changes something, and tell of it."""
        made: list[Change] = []

        def at_once(connection: Connection) -> T:
            now = self._clock() if self._clock else self._database.now(connection)
            change = Change(connection, now)
            result = run(change)
            change.close()
            made.append(change)
            return result

        result = self._database.write(at_once, urgent=self._urgent)
        for listener in self._listeners:
            listener(made[-1].changed_tasks, made[-1].changed_files)
        return result
