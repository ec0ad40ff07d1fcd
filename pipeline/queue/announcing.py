"""Who is told of a task's end, and the messages that its end leaves: in the transaction in which it ends."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import insert, select

from pipeline.queue.counting import tally
from pipeline.queue.inserts import insert_or_ignore
from pipeline.queue.records import DeliveryState
from pipeline.queue.tables import callback, delivery
from pipeline.status import task_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.queue.changes import Change
    from pipeline.tasks import Task


def add_callback(change: Change, task_id: str, url: str | None) -> None:
    """Have this address told of the task's ends, besides those that are; once, however often it is named."""
    if url:
        row = {"task_id": task_id, "url": url}
        change.connection.execute(insert_or_ignore(change.connection, callback), row)


def announce(change: Change, ended: Sequence[Task]) -> None:
    """Leave a message to each callback of these tasks. The body is made now: a retry may change what a task says."""
    for each in ended:
        wanted = select(callback.c.url).where(callback.c.task_id == each.id, callback.c.refused.is_(False))
        if urls := list(change.connection.scalars(wanted.order_by(callback.c.url))):
            body = msgspec.json.encode(_message(change, each))
            change.connection.execute(insert(delivery), [_row(change, each, url, body) for url in urls])


def origin(url: str) -> str:
    """Return scheme, host and port of an address, which name one receiver and hold no secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _message(change: Change, task: Task) -> dict[str, Any]:
    """Return the monitoring answer without files, and the `type` that Standard Webhooks recommends."""
    found = tally(change.connection, [task.id])[task.id]
    answer = task_answer(task, files=None, counts=found.counts, sums=found.sums, now=change.now)
    return {"type": f"task.{task.state}", **answer}


def _row(change: Change, task: Task, url: str, body: bytes) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "url": url,
        "origin": origin(url),
        "state": DeliveryState.PENDING,
        "message_id": f"msg_{secrets.token_hex(16)}",
        "body": body,
        "created_at": change.now,
        "updated_at": change.now,
    }
