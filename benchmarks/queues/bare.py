"""The least that a durable change costs: one row, one commit, by the driver alone. `bare.py URL [wal|delete]`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import orders
import psycopg

from pipeline.queue import sqlite

if TYPE_CHECKING:
    from collections.abc import Callable

CHANGE = "UPDATE task SET updated_at = updated_at + 1 WHERE id = 't1'"


def sqlite_commit(path: str, journal: str) -> Callable[[], None]:
    """Return a call that commits one changed row, flushed as the queue's own commits are."""
    connection = sqlite.connect(Path(path))
    for pragma in sqlite.PRAGMAS[{"wal": sqlite.WAL, "delete": sqlite.DELETE}[journal]]:
        connection.execute(f"PRAGMA {pragma}")

    def commit() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(CHANGE)
        connection.execute("COMMIT")

    return commit


def postgres_commit(url: str) -> Callable[[], None]:
    """Return the same for PostgreSQL."""
    return partial(psycopg.connect(url, autocommit=True).execute, CHANGE)


if __name__ == "__main__":
    url, *journal = sys.argv[1:]
    commit = sqlite_commit(url.removeprefix("sqlite:///"), *journal) if journal else postgres_commit(url)
    orders.serve({"commit": commit})
