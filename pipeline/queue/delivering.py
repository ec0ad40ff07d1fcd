"""What the sender of callbacks asks of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from pipeline.queue.records import DeliveryState
from pipeline.queue.rows import to_delivery
from pipeline.queue.statements import Statements
from pipeline.queue.tables import callback, delivery, pending

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.queue.changes import Change, Values
    from pipeline.queue.records import Delivery

LONGEST_S = 30 * 3600.0  # no message is planned further ahead


class Delivering(Statements):
    """The part of TaskStore that follows messages to their receivers.

    `now` is the sender's wall clock, which may step: what is planned too far ahead was planned before it was set
    back, and is due.
    """

    def due(
        self, now: float, limit: int, *, besides: Collection[int] = (), not_to: Collection[str] = ()
    ) -> list[Delivery]:
        """Return messages to send at `now`, the longest due first, without these and without those to these origins."""
        time = delivery.c.next_at
        mine = select(delivery).where(
            pending, delivery.c.id.not_in(besides), delivery.c.origin.not_in(not_to)
        )
        oldest = mine.order_by(time, delivery.c.id).limit(limit)
        with self._database.read() as connection:
            planned = connection.execute(oldest.where(time <= now)).all()
            stray = connection.execute(oldest.where(time > now + LONGEST_S)).all()
        return [to_delivery(row) for row in (*planned, *stray)][:limit]

    def delivered(self, delivery_id: int) -> None:
        """Note that the receiver has it."""
        self._conclude(delivery_id, DeliveryState.DELIVERED, None)

    def put_off(self, delivery_id: int, error: str, next_at: float) -> None:
        """Note an attempt that failed, and when the next one is due."""
        self._write(lambda change: _attempted(change, delivery_id, {"last_error": error, "next_at": next_at}))

    def give_up(self, delivery_id: int, error: str, *, refused: bool = False) -> None:
        """Note the last attempt. A receiver that refused hears of no further end of this task."""
        self._conclude(delivery_id, DeliveryState.GIVEN_UP, error, refused=refused)

    def _conclude(
        self, delivery_id: int, to: DeliveryState, error: str | None, *, refused: bool = False
    ) -> None:
        ended = {"state": to, "last_error": error, "body": None}

        def run(change: Change) -> None:
            _attempted(change, delivery_id, ended)
            if refused:
                told = (
                    select(delivery.c.task_id, delivery.c.url).where(delivery.c.id == delivery_id).subquery()
                )
                its = (callback.c.task_id == told.c.task_id, callback.c.url == told.c.url)
                change.connection.execute(update(callback).where(*its).values(refused=True))

        self._write(run)


def _attempted(change: Change, delivery_id: int, values: Values) -> None:
    """Count an attempt of a message that is still pending: its task may have been forgotten meanwhile."""
    counted = {**values, "attempts": delivery.c.attempts + 1, "updated_at": change.now}
    change.connection.execute(update(delivery).where(delivery.c.id == delivery_id, pending).values(counted))
