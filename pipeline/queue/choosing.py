"""What is leased next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, exists, select, true

from pipeline.queue.changes import HELD
from pipeline.queue.tables import file, one_of
from pipeline.spool import PRIORITY
from pipeline.tasks import FileState

if TYPE_CHECKING:
    from pipeline.queue.changes import Change


def next_queued(change: Change, limit: int, *, solo: bool | None, urgent: bool = False) -> list[int]:
    """Choose what is leased next: one row a path, none of a path that is held. `urgent`: spooled recordings only."""
    among = file.c.priority == PRIORITY if urgent else true()
    some = [] if solo else _take(change, limit, among & (file.c.crashes == 0))
    if solo is not False:
        some += _take(change, 1 if solo else limit, among & (file.c.crashes > 0))
    by_path: dict[bytes, int] = {}
    for _urgency, file_id, path in sorted(some):
        by_path.setdefault(path, file_id)
    return list(by_path.values())[:limit]


def _take(change: Change, limit: int, crashes: ColumnElement[bool]) -> list[tuple[int, int, bytes]]:
    """Return queued files for this transaction alone; what another one holds is left to it (PostgreSQL)."""
    free = queued(limit, crashes).with_for_update(of=file, skip_locked=True)
    return [(urgency, file_id, path) for urgency, file_id, path in change.connection.execute(free)]


def queued(limit: int, crashes: ColumnElement[bool]) -> Select[Any]:
    """Select (urgency, id, path) of queued files in the order of the index, which holds `crashes` before both."""
    other = file.alias("other")
    busy = exists().where(other.c.path == file.c.path, one_of(other.c.state, HELD))
    return (
        select(-file.c.priority, file.c.id, file.c.path)
        .where(file.c.state == FileState.QUEUED, crashes, ~busy)
        .order_by(file.c.priority.desc(), file.c.id)
        .limit(limit)
    )
