"""The queue's events as server-sent events: frames of bytes, made once for all who listen.

Frames with an `id` are rows of the event table. `summary` frames have none: they say how a task stands now.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from api.live import MissedError
from pipeline.errors import NotFoundError
from pipeline.formats import rfc3339
from pipeline.queue.store import EventKind
from pipeline.status import file_progress, task_answer
from pipeline.tasks import ACTIVE, FileState, display

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from api.frames import Frame
    from api.live import Live
    from pipeline.queue.store import Event, TaskStore

    Following = AsyncGenerator[Sequence[Frame], None]

RETRY_MS = 3000  # after which a client that lost the stream comes again
SUMMARY_S = 1.0
SUMMARY_SHARE = 0.02  # seconds for each listener: some fifty summaries a second are made at most
SUMMARIES = 1000  # kept for those who ask at the same time


class Feed:
    """Tells the listeners of one server what `live` hears."""

    def __init__(self, live: Live, store: TaskStore) -> None:
        self._live = live
        self._store = store
        self._summaries: dict[str, tuple[float, bytes]] = {}  # when it was made, by the monotonic clock
        self._promised: set[str] = set()
        self._summing = asyncio.Lock()

    async def is_over(self, task_id: str, after: int | None) -> bool:
        """Tell whether all was told of a task to who has heard this event. Raises NotFoundError for no such task."""
        task = await self._live.ask(self._store.task, task_id)
        if task is None:
            raise NotFoundError(f"There is no task {task_id[:64]!r}.")
        if after is None or task.state in ACTIVE:
            return False
        return await self._live.ask(self._all_told, task_id, after)

    async def stream(self, task_id: str | None, after: int | None) -> AsyncGenerator[bytes, None]:
        """Yield the frames after an event, or from now on; of all tasks, or of one until it has ended.

        Where some are no longer kept it says so, and goes on from now.
        """
        try:
            async with aclosing(self._told(task_id, after)) as told:
                async for chunk in told:
                    yield chunk
        except MissedError as error:
            yield _frame("missed", {"code": error.code, "detail": str(error)})
            async with aclosing(self._told(task_id, None)) as told:
                async for chunk in told:
                    yield chunk

    async def _told(self, task_id: str | None, after: int | None) -> AsyncGenerator[bytes, None]:
        after = await self._live.position(after)
        async with aclosing(self._live.follow(task_id, after)) as following:
            yield b"retry: %d\nid: %d\n\n" % (RETRY_MS, after)
            told = self._one(following, task_id) if task_id else self._all(following)
            async with aclosing(told):
                async for chunk in told:
                    yield chunk

    async def _all(self, following: Following) -> AsyncGenerator[bytes, None]:
        async for frames in following:
            yield _joined(frames)

    async def _one(self, following: Following, task_id: str) -> AsyncGenerator[bytes, None]:
        """Yield a task's frames, and how it stands: first, now and then when something has changed, and last."""
        summed_up = True
        yield await self._summary(task_id)
        async for frames in following:
            if frames:
                self._promise_summary(task_id)
                summed_up = False
                yield _joined(frames)
            else:
                summed_up = True
                yield await self._summary(task_id)
        if not (summed_up or self._live.closed):
            yield await self._summary(task_id)

    def _all_told(self, task_id: str, after: int) -> bool:
        newer = self._store.changed_since(after, 1, task_id=task_id)
        return not newer and self._store.events_kept().covers(after)

    # ---- summaries ----

    async def _summary(self, task_id: str) -> bytes:
        """Return how a task stands; who asks while others wait for one that is not begun yet gets theirs."""
        asked = time.monotonic()
        async with self._summing:
            made_at, frame = self._summaries.get(task_id, (0.0, b""))
            if made_at < asked:
                made_at, frame = time.monotonic(), await self._live.ask(self._sum_up, task_id)
                self._keep(task_id, made_at, frame)
        return frame

    def _keep(self, task_id: str, made_at: float, frame: bytes) -> None:
        self._summaries[task_id] = made_at, frame
        if len(self._summaries) > SUMMARIES:
            del self._summaries[next(iter(self._summaries))]

    def _promise_summary(self, task_id: str) -> None:
        """Have this task's listeners look again when its next summary may be made."""
        if task_id in self._promised:
            return
        self._promised.add(task_id)
        made_at, _ = self._summaries.get(task_id, (0.0, b""))
        pause = max(SUMMARY_S, SUMMARY_SHARE * self._live.listeners)
        due = max(0.0, made_at + pause - time.monotonic())
        asyncio.get_running_loop().call_later(due, self._keep_promise, task_id)

    def _keep_promise(self, task_id: str) -> None:
        self._promised.discard(task_id)
        self._live.nudge(task_id)

    def _sum_up(self, task_id: str) -> bytes:
        task = self._store.task(task_id)
        if task is None:  # forgotten
            return b""
        tally = self._store.tallies([task_id])[task_id]
        answer = task_answer(task, files=None, counts=tally.counts, sums=tally.sums, now=time.time())
        return _frame("summary", answer)


def encode(event: Event) -> bytes:
    """Return the frame of an event."""
    return b"id: %d\n" % event.id + _frame(event.kind, _said(event))


def _said(event: Event) -> dict[str, Any]:
    """Return an event as api.schemas shows it."""
    about: dict[str, Any] = {"task_id": event.task_id, "at": rfc3339(event.at)}
    if event.kind == EventKind.TASK:
        dirname = None if event.dirname is None else display(event.dirname)
        return about | {"dirname": dirname, "task_status": event.state, "code": event.detail.get("code")}
    about |= {"path": event.detail["path"], "status": event.state}
    if event.kind == EventKind.FILE:
        return about | {"code": event.detail.get("code")}
    position, duration = event.detail["position"], event.detail["duration"]
    return about | {
        "progress": file_progress(FileState(event.state), position, duration),
        "duration": duration,
    }


def _frame(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


def _joined(frames: Sequence[Frame]) -> bytes:
    return b"".join(each.content for each in frames)
