"""Live events: one reader of the event table for all who listen; each listener is a cursor in what it read.

All of it runs in the server's event loop, only reads of the database in threads. Truth is the table: who falls
behind what is kept in memory reads there what he missed, so nobody's slowness costs memory.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from pipeline.errors import PipelineError, UnavailableError
from pipeline.queue.store import EventKind
from pipeline.tasks import ACTIVE, TaskState

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from pipeline.queue.store import Event, Span, TaskStore

logger = logging.getLogger(__name__)

POLL_S = 0.1
POLL_MAX_S = 1.0
RING_SHARE = 4  # ringing that took a tenth of a second is not done again for so many
RUNG_AT_ONCE = 32  # listeners: between two handfuls the loop answers others
RECENT = 4000  # events kept in memory for all
AT_ONCE = 500  # events read, or told to one listener
READS_AT_ONCE = 4
TROUBLE_PAUSE_S = 1.0

T = TypeVar("T")


class MissedError(PipelineError):
    """Some of these events are no longer kept: look at the state of things, then follow from now."""

    code = "events_missed"


@dataclass(slots=True, eq=False)
class _Listener:
    """How far somebody has heard. `waiting`: nothing that was read is left to tell him."""

    cursor: int
    behind: bool = True  # he reads in the table, at first so that nothing slips in between
    over: bool = False
    nudged: bool = False
    waiting: bool = False
    bell: asyncio.Event = field(default_factory=asyncio.Event)


class Live:
    """Fans the events of the queue out to those who follow a task, or all of them."""

    def __init__(self, store: TaskStore, *, poll_s: float = POLL_S, recent: int = RECENT) -> None:
        self._store = store
        self._poll_s = poll_s
        self._keep = recent
        self._listeners: dict[str | None, set[_Listener]] = {}
        self._recent: list[Event] = []  # all after _floor, up to _cursor
        self._floor = self._cursor = 0
        self._reader: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reads = anyio.CapacityLimiter(READS_AT_ONCE)
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the service stops."""
        return self._closed

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return sum(map(len, self._listeners.values()))

    async def follow(
        self, task_id: str | None = None, after: int | None = None
    ) -> AsyncGenerator[Sequence[Event], None]:
        """Yield events as they come, some at a time (none for a nudge): those after an id, else from now on.

        Of all tasks; or of one: then it ends once that has ended and all was told, at once where it had ended or
        is not there. It also ends when the service stops or the reader failed: who waits for a task looks at its
        state then. Raises MissedError when not all events after `after` are kept.
        """
        kept = await self.ask(self._store.events_kept)
        listener = _Listener(kept.newest if after is None else after)
        ended = task_id is not None and await self._has_ended(task_id)
        self._enter(task_id, listener, kept)
        try:
            while not listener.over:
                if events := await self._more(listener, task_id):
                    ended = task_id is not None and _ended(events, before=ended)
                    yield events
                elif listener.nudged:
                    listener.nudged = False
                    yield []
                elif ended:
                    return
                else:
                    await listener.bell.wait()
        finally:
            self._leave(task_id, listener)

    async def ask(self, read: Callable[..., T], *arguments: Any) -> T:
        """Read from the store in a thread; few at once, so that a crowd of listeners leaves threads to others."""
        return await anyio.to_thread.run_sync(read, *arguments, limiter=self._reads)

    def nudge(self, task_id: str) -> None:
        """Have those who follow a task look up once, though nothing happened."""
        for listener in self._listeners.get(task_id, ()):
            listener.nudged = True
            listener.bell.set()

    def close(self) -> None:
        """End what everybody follows; from any thread."""
        self._closed = True
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hang_up)

    # ---- one listener ----

    def _enter(self, task_id: str | None, listener: _Listener, kept: Span) -> None:
        listener.over = self._closed
        self._listeners.setdefault(task_id, set()).add(listener)
        if self._reader is None or self._reader.done():
            self._recent, self._floor, self._cursor = [], kept.newest, kept.newest
            self._loop = asyncio.get_running_loop()
            self._reader = self._loop.create_task(self._read(), name="live events")

    def _leave(self, task_id: str | None, listener: _Listener) -> None:
        self._listeners[task_id].discard(listener)
        if not self._listeners[task_id]:
            del self._listeners[task_id]

    async def _more(self, listener: _Listener, task_id: str | None) -> Sequence[Event]:
        """Return what this listener has not heard yet; nothing when he may wait for his bell."""
        if listener.waiting:  # and was not rung for: a nudge
            listener.bell.clear()
            return []
        while listener.behind or listener.cursor < self._floor:
            if events := await self._from_table(listener, task_id):
                return events
        listener.bell.clear()
        while newer := self._after(listener.cursor):
            listener.cursor = newer[-1].id
            if events := [each for each in newer if task_id in (None, each.task_id)]:
                return events
        listener.waiting = True
        return []

    def _after(self, cursor: int) -> Sequence[Event]:
        start = bisect_right(self._recent, cursor, key=attrgetter("id"))
        return self._recent[start : start + AT_ONCE]

    async def _from_table(self, listener: _Listener, task_id: str | None) -> Sequence[Event]:
        """Return the next events that are no longer in memory; raises MissedError when they are not kept at all."""
        read = self._cursor  # what is in the table then, at least
        page = await self.ask(self._page, listener.cursor, task_id)
        last = page[-1].id if page else 0
        listener.behind = len(page) == AT_ONCE
        listener.cursor = last if listener.behind else max(listener.cursor, read, last)
        return page

    def _page(self, after: int, task_id: str | None) -> Sequence[Event]:
        page = self._store.changed_since(after, AT_ONCE, task_id=task_id)
        if not self._store.events_kept().covers(after):  # asked last: they may be trimmed meanwhile
            raise MissedError
        return page

    async def _has_ended(self, task_id: str) -> bool:
        task = await self.ask(self._store.task, task_id)
        return task is None or task.state not in ACTIVE

    # ---- all listeners ----

    async def _read(self) -> None:
        """Read what happens as long as somebody listens; however it ends, nobody is left waiting."""
        try:
            while self._listeners and not self._closed:
                events = await self._look()
                began = time.monotonic()
                await self._tell(events)
                pause = max(self._poll_s, RING_SHARE * (time.monotonic() - began))
                await asyncio.sleep(0 if len(events) == AT_ONCE else min(pause, POLL_MAX_S))
        finally:
            self._hang_up()

    async def _look(self) -> Sequence[Event]:
        try:
            return await self.ask(self._store.changed_since, self._cursor, AT_ONCE)
        except UnavailableError as error:
            logger.warning("live events wait: %s", error)
            await asyncio.sleep(TROUBLE_PAUSE_S)
            return []

    async def _tell(self, events: Sequence[Event]) -> None:
        """Keep these events and ring for those whom they concern, a handful at a time."""
        if not events:
            return
        before, self._cursor = self._cursor, events[-1].id
        self._recent += events
        if len(self._recent) > 2 * self._keep:
            self._floor = self._recent[-self._keep - 1].id
            del self._recent[: -self._keep]
        for number, listener in enumerate(self._concerned(events), 1):
            _ring(listener, before)
            if number % RUNG_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _concerned(self, events: Iterable[Event]) -> list[_Listener]:
        keys = {None, *(each.task_id for each in events)}
        return [listener for key in keys for listener in self._listeners.get(key, ())]

    def _hang_up(self) -> None:
        for listener in [each for some in self._listeners.values() for each in some]:
            listener.over = True
            listener.bell.set()


def _ring(listener: _Listener, before: int) -> None:
    """Have a listener look again; one who waited has heard all that was read before."""
    if listener.waiting:
        listener.waiting = False
        listener.cursor = max(listener.cursor, before)
    listener.bell.set()


def _ended(events: Iterable[Event], *, before: bool) -> bool:
    """Tell whether a task has ended after these events of it."""
    states = [TaskState(each.state) for each in events if each.kind == EventKind.TASK]
    return states[-1] not in ACTIVE if states else before
