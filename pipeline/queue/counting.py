"""How many files tasks have and how far they are, over a connection that somebody else lent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, func, select

from pipeline.queue.matching import chunks
from pipeline.queue.records import Seconds, Tally
from pipeline.queue.tables import file, standing
from pipeline.tasks import ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

_reached = case((file.c.position > file.c.duration, file.c.duration), else_=file.c.position)
_known = file.c.duration.is_not(None)

# for each task and state: how many files, of how many the duration is known, those durations, how far they are
_BY_STATE = (
    select(
        file.c.task_id,
        file.c.state,
        func.count().label("files"),
        func.count(file.c.duration).label("known"),
        func.sum(file.c.duration).label("seconds"),
        func.sum(case((_known, _reached), else_=0.0)).label("reached"),
    )
    .where(file.c.task_id.in_(bindparam("task_ids", expanding=True)), standing)
    .group_by(file.c.task_id, file.c.state)
)


def tally(connection: Connection, task_ids: Sequence[str]) -> dict[str, Tally]:
    """Return for each task its files by state and how far it is in seconds of audio; see Seconds."""
    states: dict[str, list[Row[Any]]] = {task_id: [] for task_id in task_ids}
    for some in chunks(task_ids):
        for row in connection.execute(_BY_STATE, {"task_ids": some}):
            states[row.task_id].append(row)
    return {task_id: _tally(rows) for task_id, rows in states.items()}


def _tally(states: Sequence[Row[Any]]) -> Tally:
    known = [row for row in states if row.known]
    return Tally(
        counts={row.state: row.files for row in states},
        sums=Seconds(
            total=sum((row.seconds for row in known), 0.0),
            done=sum((row.seconds if row.state in ENDED else row.reached for row in known), 0.0),
            unknown_open=sum(row.files - row.known for row in states if row.state not in ENDED),
        ),
    )
