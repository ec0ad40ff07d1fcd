"""What a database is to the rest of the room, whichever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine

    from pipeline.errors import PipelineError


class Backend(Protocol):
    """Where a queue lives: a file of SQLite's, or a database on a PostgreSQL server.

    Owned, this process is the one core of the queue; else it may only look.
    """

    name: str  # for people; without a password
    journal: str  # how writes are kept, for people
    note: str | None  # what is less than best about that
    owned: bool
    epoch: int | None  # the one that this core began
    lost: PipelineError | None  # why this core can never write again
    readers: Engine  # of connections that see one state and cannot write
    writers: Engine  # of the one connection that writes

    def check(self) -> None:
        """Raise EnvironmentUnusableError when a queue cannot be kept there safely."""
        ...

    def migrating(self) -> AbstractContextManager[Engine]:
        """Lend the engine on which migrations run."""
        ...

    def copy(self, revision: str) -> None:
        """Copy the database, which is at `revision`, before it is migrated."""
        ...

    def way_back(self, revision: str) -> str:
        """Say where the state is that was kept before the database left `revision`."""
        ...

    def now(self, connection: Connection) -> float:
        """Return the time that rows show: seconds since the epoch, of the transaction's start."""
        ...

    def in_transaction(self, connection: Connection) -> bool:
        """Tell whether a transaction still stands after an error in it."""
        ...

    def ticket(self, connection: Connection) -> str | None:
        """Return by what `took_place` knows a transaction that is about to be committed, if that can be asked."""
        ...

    def took_place(self, ticket: str) -> bool:
        """Tell whether a commit took place whose answer was lost."""
        ...

    def translated(self, error: Exception) -> Exception:
        """Return the error of ours for one of the database's; any other error as it is."""
        ...

    def start_trouble(self) -> AbstractContextManager[None]:
        """Say in our words why the database cannot be opened."""
        ...

    def close(self) -> None:
        """Free the queue for the next core, once nothing is connected any more."""
        ...
