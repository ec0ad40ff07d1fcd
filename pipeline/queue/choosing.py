"""What is leased next."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Integer, Select, bindparam, exists, select, true

from pipeline.queue.changes import HELD
from pipeline.queue.tables import file, one_of, task
from pipeline.spool import PRIORITY
from pipeline.tasks import FileState, TaskState

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.queue.changes import Change


class Candidate(NamedTuple):
    """A queued file; they are leased in the order of the first two."""

    urgency: int
    file_id: int
    path: bytes
    task_id: str
    task_waits: bool  # none of its task's files was leased yet


def next_queued(
    change: Change,
    limit: int,
    *,
    solo: bool | None,
    urgent: bool = False,
    only: Collection[str] | None = None,
) -> list[Candidate]:
    """Choose what is leased next: one row a path, none of a path that is held.

    `urgent`: spooled recordings only; `only`: files of these tasks.
    """
    some = [] if solo else _take(change, limit, suspects=False, urgent=urgent, only=only)
    if solo is not False:
        some += _take(change, 1 if solo else limit, suspects=True, urgent=urgent, only=only)
    by_path: dict[bytes, Candidate] = {}
    for each in sorted(some):
        by_path.setdefault(each.path, each)
    return list(by_path.values())[:limit]


def _take(
    change: Change, limit: int, *, suspects: bool, urgent: bool, only: Collection[str] | None
) -> list[Candidate]:
    free = of_tasks(only, _free(suspects=suspects, urgent=urgent))
    return [Candidate(*row) for row in change.connection.execute(free, {"limit": limit})]


def of_tasks(only: Collection[str] | None, files: Select[Any]) -> Select[Any]:
    """Select those of these tasks alone; None: of all."""
    return files if only is None else files.where(file.c.task_id.in_(only))


@cache
def _free(*, suspects: bool, urgent: bool) -> Select[Any]:
    """Select queued files for this transaction alone; what another one holds is left to it (PostgreSQL)."""
    return queued(suspects=suspects, urgent=urgent).with_for_update(of=file, skip_locked=True)


@cache
def queued(*, suspects: bool, urgent: bool = False) -> Select[Any]:
    """Select `limit` queued files, as Candidates, in the index's order, which holds `crashes` before theirs."""
    other = file.alias("other")
    busy = exists().where(other.c.path == file.c.path, one_of(other.c.state, HELD))
    crashes = file.c.crashes > 0 if suspects else file.c.crashes == 0
    among = file.c.priority == PRIORITY if urgent else true()
    waits = select(task.c.state == TaskState.PENDING).where(task.c.id == file.c.task_id).scalar_subquery()
    return (
        select(-file.c.priority, file.c.id, file.c.path, file.c.task_id, waits)
        .where(file.c.state == FileState.QUEUED, crashes, among, ~busy)
        .order_by(file.c.priority.desc(), file.c.id)
        .limit(bindparam("limit", type_=Integer))
    )
