"""How many files tasks have and how far they are, over a connection that somebody else lent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, case, func, select

from pipeline.queue.matching import chunks
from pipeline.queue.records import Seconds
from pipeline.queue.tables import file, one_of, standing
from pipeline.tasks import ENDED, FileState

if TYPE_CHECKING:
    from collections.abc import Sequence


def count(connection: Connection, task_ids: Sequence[str]) -> dict[str, dict[FileState, int]]:
    """Return for each task its files by state, superseded ones left out."""
    counts: dict[str, dict[FileState, int]] = {task_id: {} for task_id in task_ids}
    columns = (file.c.task_id, file.c.state)
    for some in chunks(task_ids):
        by_state = select(*columns, func.count()).where(file.c.task_id.in_(some), standing).group_by(*columns)
        for task_id, state, number in connection.execute(by_state):
            counts[task_id][state] = number
    return counts


def sum_up(connection: Connection, task_ids: Sequence[str]) -> dict[str, Seconds]:
    """Return for each task how far it is in seconds of audio; see Seconds."""
    sums = dict.fromkeys(task_ids, Seconds())
    for some in chunks(task_ids):
        for task_id, total, done, unknown in connection.execute(_seconds(some)):
            sums[task_id] = Seconds(total, done, unknown)
    return sums


def _seconds(task_ids: Sequence[str]) -> Select[Any]:
    ended = one_of(file.c.state, ENDED)
    reached = case((ended | (file.c.position > file.c.duration), file.c.duration), else_=file.c.position)
    counted = case((file.c.duration.is_(None), 0.0), else_=reached)
    unknown = case((file.c.duration.is_(None) & ~ended, 1), else_=0)
    sums = (func.coalesce(func.sum(file.c.duration), 0.0), func.sum(counted), func.sum(unknown))
    return (
        select(file.c.task_id, *sums).where(file.c.task_id.in_(task_ids), standing).group_by(file.c.task_id)
    )
