"""Live events: one reader of the event table for all who listen; each listener is a cursor in what it read.

All of it runs in the server's event loop, only reads of the database in threads. The reader rings for those who
have something to hear, a handful at a time, and leaves most of the loop to others; rung for, a listener takes one
portion. So a crowd, or a client that reads slowly, delays itself and nobody else, and costs no memory: truth is the
table, where whoever falls behind what is kept in memory reads on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from api.frames import PORTION, Recent, frame_of, has_ended
from api.listener import Listener
from pipeline.errors import PipelineError, UnavailableError
from pipeline.tasks import ACTIVE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from api.frames import Frame
    from pipeline.queue.store import Event, TaskStore

logger = logging.getLogger(__name__)

POLL_S = 0.1
HUNGRY_S = 0.01  # between two rounds while somebody has more to hear
HANDFUL = 8  # listeners rung for at once: others wait as long as these are served
SHARE = 4  # a handful that took a millisecond is followed by four in which the loop is others'
REST_MAX_S = 0.1
RECENT = 20_000  # frames kept in memory for all: some ten megabytes
PAGE = 500  # events that the reader takes at once
READS_AT_ONCE = 4
TROUBLE_PAUSE_S = 1.0

T = TypeVar("T")


class MissedError(PipelineError):
    """Some of these events are no longer kept: look at the state of things, then follow from now."""

    code = "events_missed"


class Live:
    """Fans the events of the queue out to those who follow a task, or all of them."""

    def __init__(
        self,
        store: TaskStore,
        encode: Callable[[Event], bytes],
        *,
        poll_s: float = POLL_S,
        recent: int = RECENT,
    ) -> None:
        """`encode` makes of an event what listeners are told, once for all of them."""
        self._store = store
        self._encode = encode
        self._poll_s = poll_s
        self._keep = recent
        self._recent = Recent(0, recent)
        self._listeners: dict[str | None, set[Listener]] = {}
        self._hungry: list[Listener] = []  # who have more to hear
        self._reader: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reads = anyio.CapacityLimiter(READS_AT_ONCE)
        self._catching_up = asyncio.Lock()
        self.closed = False  # the service stops

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return sum(map(len, self._listeners.values()))

    @property
    def lag(self) -> int:
        """How many of the events that were read the slowest listener has still to hear, or to pass over."""
        everybody = [each for some in list(self._listeners.values()) for each in list(some)]
        behind = (self._recent.cursor - each.cursor for each in everybody if not each.waiting)
        return max(behind, default=0)

    async def follow(
        self, task_id: str | None = None, after: int | None = None
    ) -> AsyncGenerator[Sequence[Frame], None]:
        """Yield what happens, some frames at a time (none for a nudge): after an event, else from now on.

        Of all tasks; or of one: then it ends once that has ended and all was told, at once where it had ended or
        is not there. It also ends when the service stops or the reader failed: who waits for a task looks at its
        state then. Raises MissedError when not all events after `after` are kept.
        """
        listener = Listener(await self.position(after))
        ended = task_id is not None and await self._has_ended(task_id)
        listener.until = await self.position()
        self._enter(task_id, listener)
        try:
            while not listener.over:
                listener.bell.clear()
                if frames := await self._portion(listener, task_id):
                    ended = task_id is not None and has_ended(frames, before=ended)
                    yield frames
                if listener.nudged:
                    listener.nudged = False
                    yield []
                if ended and listener.waiting:
                    return
                await listener.bell.wait()
        finally:
            self._leave(task_id, listener)

    async def position(self, after: int | None = None) -> int:
        """Return after which event to begin: this one, or the newest. Raises MissedError where that leaves a gap."""
        kept = await self.ask(self._store.events_kept)
        if after is not None and not kept.covers(after):
            raise MissedError
        return kept.newest if after is None else after

    async def ask(self, read: Callable[..., T], *arguments: Any) -> T:
        """Read from the store in a thread; few at once, so that a crowd of listeners leaves threads to others."""
        return await anyio.to_thread.run_sync(read, *arguments, limiter=self._reads)

    def nudge(self, task_id: str) -> None:
        """Have those who follow a task look up once, though nothing happened."""
        for listener in self._listeners.get(task_id, ()):
            listener.nudge()

    def close(self) -> None:
        """End what everybody follows; from any thread."""
        self.closed = True
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hang_up)

    # ---- one listener ----

    def _enter(self, task_id: str | None, listener: Listener) -> None:
        listener.over = self.closed
        self._listeners.setdefault(task_id, set()).add(listener)
        if self._reader is None or self._reader.done():
            self._recent = Recent(listener.until, self._keep)
            self._loop = asyncio.get_running_loop()
            self._reader = self._loop.create_task(self._read(), name="live events")

    def _leave(self, task_id: str | None, listener: Listener) -> None:
        self._listeners[task_id].discard(listener)
        if not self._listeners[task_id]:
            del self._listeners[task_id]

    async def _portion(self, listener: Listener, task_id: str | None) -> Sequence[Frame]:
        """Return what this listener hears next, and remember whether there is more."""
        if listener.waiting:  # he was not rung for: a nudge
            return []
        if listener.cursor < self._recent.floor:
            frames = await self._from_table(listener, task_id)
        else:
            frames, listener.cursor = self._recent.portion(listener.cursor, task_id)
        listener.waiting = listener.cursor >= self._recent.cursor >= listener.until
        if not listener.waiting:
            self._hungry.append(listener)
        return frames

    async def _from_table(self, listener: Listener, task_id: str | None) -> Sequence[Frame]:
        """Return what is no longer in memory, one listener after the other; MissedError when it is not kept."""
        async with self._catching_up:
            read, began = self._recent.cursor, time.monotonic()  # the table holds all that was read, at least
            page = await self.ask(self._page, listener.cursor, task_id)
            if len(page) < PORTION:
                listener.cursor = max(read, page[-1].id if page else 0)
            else:
                listener.cursor = page[-1].id
                await asyncio.sleep(SHARE * (time.monotonic() - began))
        return page

    def _page(self, after: int, task_id: str | None) -> Sequence[Frame]:
        page = self._after(after, PORTION, task_id)
        if not self._store.events_kept().covers(after):  # asked last: they may be trimmed meanwhile
            raise MissedError
        return page

    def _after(self, cursor: int, limit: int, task_id: str | None = None) -> Sequence[Frame]:
        events = self._store.changed_since(cursor, limit, task_id=task_id)
        return [frame_of(each, self._encode(each)) for each in events]

    async def _has_ended(self, task_id: str) -> bool:
        task = await self.ask(self._store.task, task_id)
        return task is None or task.state not in ACTIVE

    # ---- all listeners ----

    async def _read(self) -> None:
        """Read what happens as long as somebody listens."""
        try:
            while self._listeners and not self.closed:
                before = self._recent.cursor
                tasks = await self._look()
                await self._ring(self._concerned(tasks), before)
                await asyncio.sleep(HUNGRY_S if self._hungry else self._poll_s)
        finally:
            self._hang_up()

    async def _look(self) -> set[str]:
        """Take in what is new; return which tasks it concerns."""
        tasks: set[str] = set()
        while frames := await self._news():
            self._recent.add(frames)
            tasks.update(each.task_id for each in frames)
            if len(frames) < PAGE:
                break
        return tasks

    async def _news(self) -> Sequence[Frame]:
        try:
            return await self.ask(self._after, self._recent.cursor, PAGE)
        except UnavailableError as error:
            logger.warning("live events wait: %s", error)
            await asyncio.sleep(TROUBLE_PAUSE_S)
            return []

    def _concerned(self, tasks: Iterable[str]) -> list[Listener]:
        keys = [*tasks, None] if tasks else []
        hungry, self._hungry = self._hungry, []
        return hungry + [listener for key in keys for listener in self._listeners.get(key, ())]

    async def _ring(self, listeners: Sequence[Listener], before: int) -> None:
        """Have them look again, a handful at a time; who waited has heard all that was read `before`."""
        for start in range(0, len(listeners), HANDFUL):
            began = time.monotonic()
            for listener in listeners[start : start + HANDFUL]:
                listener.ring(before)
            await asyncio.sleep(0)  # these take their portions
            await asyncio.sleep(min(SHARE * (time.monotonic() - began), REST_MAX_S))

    def _hang_up(self) -> None:
        for listener in [each for some in self._listeners.values() for each in some]:
            listener.hang_up()
