"""INSERT … ON CONFLICT, which SQLAlchemy has for each dialect by itself."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table
    from sqlalchemy.sql.dml import ReturningInsert

    Insert = postgresql.Insert | sqlite.Insert

_DIALECTS: dict[str, type[Insert]] = {"postgresql": postgresql.Insert, "sqlite": sqlite.Insert}


def insert_or_ignore(connection: Connection, table: Table) -> ReturningInsert[Any]:
    """Return an INSERT that leaves a row that is already there as it is, and returns those that it adds."""
    return _ignoring(connection.dialect.name, table)


@cache
def _ignoring(dialect: str, table: Table) -> ReturningInsert[Any]:
    """Make it once: making a statement takes longer than running it."""
    return _DIALECTS[dialect](table).on_conflict_do_nothing().returning(*table.c)


def insert_or_replace(connection: Connection, table: Table, *columns: str) -> Insert:
    """Return an INSERT that overwrites these columns of a row with the same primary key."""
    return _replacing(connection.dialect.name, table, columns)


@cache
def _replacing(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    statement = _DIALECTS[dialect](table)
    fresh: dict[Any, Any] = {name: statement.excluded[name] for name in columns}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=fresh)
