"""The forms of UPDATE that Change runs, each made once: making one takes longer than running it.

Conditions and expressions that are constants of a module find the form again; what they ask for comes with the
execution. Others make one of their own, which goes when newer ones come.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, update

from pipeline.queue.matching import guard
from pipeline.queue.tables import file, task
from pipeline.tasks import FileState, predecessors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.sql.dml import ReturningUpdate

    Conditions = tuple[ColumnElement[bool], ...]
    Expressions = tuple[tuple[str, ColumnElement[Any]], ...]

KEPT = 64  # of each kind: a form that was run once takes some twenty kilobytes


@lru_cache(KEPT)
def moving_files(
    to: FileState, among: frozenset[FileState], where: Conditions, computed: Expressions
) -> ReturningUpdate[Any]:
    """Return the UPDATE of files that may enter `to` from one of `among`."""
    allowed = guard(file.c.state, predecessors(to) & among)
    changed = update(file).where(allowed, *where).returning(*file.c)
    return changed.values(dict(computed)) if computed else changed


@lru_cache(KEPT)
def changing_tasks(where: Conditions, computed: Expressions) -> ReturningUpdate[Any]:
    """Return the UPDATE of these tasks."""
    changed = update(task).where(*where).returning(*task.c)
    return changed.values(dict(computed)) if computed else changed


def parted(values: Mapping[str, Any]) -> tuple[dict[str, Any], Expressions]:
    """Part plain values, which go as parameters, from SQL expressions, which are parts of the statement."""
    computed = {name: value for name, value in values.items() if isinstance(value, ColumnElement)}
    plain = {name: value for name, value in values.items() if name not in computed}
    return plain, tuple(computed.items())
