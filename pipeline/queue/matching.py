"""Conditions that several statements share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    String,
    and_,
    bindparam,
    cast,
    not_,
    or_,
    select,
    union_all,
)

from pipeline.queue.tables import file, one_of, standing, task
from pipeline.spool import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from enum import StrEnum

    from pipeline.queue.records import Lease

T = TypeVar("T")
Path = bytes | BindParameter[bytes]

IDS_AT_ONCE = 500  # values in one IN list: SQLite takes 32,766 in a statement


def guard(state: Column[Any], states: Iterable[StrEnum]) -> ColumnElement[bool]:
    """Return `state IN (…)` as a check of rows that other conditions find.

    The cast hides the column from indexes: SQLite would walk a million queued rows for the one with this id.
    """
    return one_of(cast(state, String), states)


# Conditions made once: what they ask for comes with the execution. Making one takes longer than running it.
THIS_TASK = task.c.id == bindparam("task_id")
THESE_TASKS = task.c.id.in_(bindparam("task_ids", expanding=True))
THESE_FILES = file.c.id.in_(bindparam("file_ids", expanding=True))
LEASED_BY = and_(
    file.c.id == bindparam("leased_id"),
    file.c.epoch == bindparam("lease_epoch"),
    file.c.token == bindparam("lease_token"),
)


def speaker(lease: Lease) -> dict[str, int]:
    """Return whom `LEASED_BY` matches: the file of this lease as long as no later one was given."""
    return {"leased_id": lease.file_id, "lease_epoch": lease.epoch, "lease_token": lease.token}


def spooled(path: Column[bytes]) -> ColumnElement[bool]:
    """Match paths of spooled recordings."""
    return and_(path >= PREFIX, path < PREFIX[:-1] + b"0")


def shown(path: Column[bytes]) -> ColumnElement[bool]:
    """Match all other paths. No index serves it, nor does it keep another from being used."""
    return not_(spooled(path))


def below(directory: bytes) -> ColumnElement[bool]:
    """Match what stands below a directory, and the file of exactly this path; b"." is the root, and matches all.

    Names below `dir` lie between `dir/` and `dir0` (0 follows the slash). Two searches of the index on paths: an
    OR of the two makes SQLite read all of it.
    """
    return standing & shown(file.c.path) if directory == b"." else _between(**edges(directory))


def edges(directory: bytes) -> dict[str, bytes]:
    """Return the paths that `BELOW` lies between."""
    return {"directory": directory, "first": directory + b"/", "end": directory + b"0"}


def _between(directory: Path, first: Path, end: Path) -> ColumnElement[bool]:
    inside = select(file.c.id).where(file.c.path > first, file.c.path < end, standing)
    itself = select(file.c.id).where(file.c.path == directory, standing)
    return file.c.id.in_(union_all(inside, itself))


# `below`, made once: its `edges` come with the execution
BELOW = _between(*(bindparam(name, type_=file.c.path.type) for name in ("directory", "first", "end")))


def within(dirname: bytes) -> ColumnElement[bool]:
    """Match what a task of this directory is about: as `below`, but of the root its loose files only."""
    return standing & (file.c.directory == dirname) if dirname == b"." else below(dirname)


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the values in lists short enough for one statement."""
    for start in range(0, len(values), IDS_AT_ONCE):
        yield values[start : start + IDS_AT_ONCE]


def at_or_below(column: Column[bytes], path: bytes) -> ColumnElement[bool]:
    """Match this path and all below it; superseded rows too, so no index helps: forgetting is rare."""
    if path == b".":
        return shown(column)
    return shown(column) & or_(column == path, (column > path + b"/") & (column < path + b"0"))
