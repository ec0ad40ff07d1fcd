"""Live events over a real queue, in one event loop: who hears what, from where, until when."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from api.feed import encode
from api.frames import Frame, Recent
from api.live import Live, MissedError
from pipeline.queue.records import NewFile
from pipeline.tasks import FileState, Fingerprint, Source

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from pipeline.queue.store import TaskStore
    from pipeline.tasks import Task

POLL_S = 0.01
PATIENCE_S = 60.0
_numbers = itertools.count(1)


def open_task(store: TaskStore, dirname: bytes = b"talks") -> Task:
    return store.open_task(dirname, Source.API, {})[0]


def happen(store: TaskStore, task: Task, times: int = 1) -> list[int]:
    """Let this many files arrive, an event each; return the ids of the events."""
    before = store.events_kept().newest
    for _ in range(times):
        number = next(_numbers)
        new = NewFile(
            path=task.dirname + b"/%d.mp3" % number,
            fingerprint=Fingerprint(number, number),
            state=FileState.QUEUED,
            options={},
        )
        store.add_files(task.id, [new])
    return [each.id for each in store.changed_since(before)]


class Ear:
    """Somebody who listens, in a task of his own, from when `live` counts him."""

    def __init__(self, following: AsyncGenerator[Sequence[Frame], None]) -> None:
        self.events: list[Frame] = []
        self._task = asyncio.ensure_future(self._listen(following))

    async def _listen(self, following: AsyncGenerator[Sequence[Frame], None]) -> None:
        async for events in following:
            self.events += events

    async def hear(self, number: int) -> list[int]:
        """Return the ids of what was heard, once it is so many; fail when it does not come."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.events) < number:  # noqa: ASYNC110 - the product rings for no test
                await asyncio.sleep(POLL_S)
        return [each.id for each in self.events]


async def hear_all(following: AsyncGenerator[Sequence[Frame], None]) -> list[Frame]:
    """Return all events until the end."""
    async with asyncio.timeout(PATIENCE_S):
        return [each async for events in following for each in events]


async def up_to_date(live: Live, store: TaskStore, task: Task) -> Ear:
    """Return somebody who has just heard what happened: the reader has looked, and rests."""
    ear = Ear(live.follow())
    await listening(live, 1)
    await ear.hear(len(happen(store, task)))
    return ear


async def slow_and_quick(
    live: Live, store: TaskStore, task: Task
) -> tuple[AsyncGenerator[Sequence[Frame], None], Ear]:
    """Return two who have heard the one event; the first asks for no more of himself."""
    slow, quick = live.follow(), Ear(live.follow())
    start = asyncio.ensure_future(anext(slow))
    await listening(live, 2)
    ids = happen(store, task)
    assert [each.id for each in await start] == await quick.hear(1) == ids
    return slow, quick


async def listening(live: Live, number: int) -> None:
    """Wait until so many listen."""
    async with asyncio.timeout(PATIENCE_S):
        while live.listeners != number:  # noqa: ASYNC110 - the product rings for no test
            await asyncio.sleep(POLL_S)


def test_who_follows_all_hears_what_happens_from_now_on(store: TaskStore) -> None:
    """Of every task, in order, each event once."""
    tasks = open_task(store), open_task(store, b"more")
    happen(store, tasks[0])

    async def scene() -> None:
        live = Live(store, encode, poll_s=POLL_S)
        ear = Ear(live.follow())
        await listening(live, 1)
        ids = happen(store, tasks[0], 2) + happen(store, tasks[1], 2)
        assert await ear.hear(4) == ids
        ids += happen(store, tasks[0])
        assert await ear.hear(5) == ids

    asyncio.run(scene())


def test_who_comes_between_two_looks_of_the_reader_hears_nothing_from_before(store: TaskStore) -> None:
    """Now is now."""
    task = open_task(store)

    async def scene() -> None:
        live = Live(store, encode, poll_s=20 * POLL_S)
        first = await up_to_date(live, store, task)
        ids = happen(store, task, 3)
        second = Ear(live.follow())
        await listening(live, 2)
        ids += happen(store, task)
        await first.hear(5)
        assert await second.hear(1) == ids[-1:]

    asyncio.run(scene())


def test_who_follows_a_task_hears_of_no_other(store: TaskStore) -> None:
    """Also where what he missed is read in the table."""
    mine, other = open_task(store), open_task(store, b"other")
    ids = happen(store, mine)
    happen(store, other)

    async def scene() -> None:
        live = Live(store, encode, poll_s=POLL_S)
        ear = Ear(live.follow(mine.id, after=ids[0] - 1))
        assert await ear.hear(1) == ids
        happen(store, other)
        later = happen(store, mine, 2)
        assert await ear.hear(3) == ids + later

    asyncio.run(scene())


@pytest.mark.parametrize("recent", [2, 1000], ids=["from the table", "from memory"])
def test_who_resumes_hears_without_gap_or_repeat(
    store: TaskStore, recent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether what he missed is still in memory or not; while more happens; a portion at a time."""
    for module in ("frames", "live"):
        monkeypatch.setattr(f"api.{module}.PORTION", 7)
    task = open_task(store)

    async def scene() -> None:
        live = Live(store, encode, poll_s=POLL_S, recent=recent)
        first = Ear(live.follow())
        await listening(live, 1)
        ids = happen(store, task, 30)
        assert await first.hear(30) == ids
        second = Ear(live.follow(after=ids[9]))
        ids += happen(store, task, 30)
        assert await second.hear(50) == ids[10:]
        ids += happen(store, task)
        assert await second.hear(51) == ids[10:]

    asyncio.run(scene())


def test_a_slow_listener_reads_in_the_table_what_has_left_memory(store: TaskStore) -> None:
    """He costs no memory meanwhile, is seen to lag, and hears all of it."""
    task = open_task(store)

    async def scene() -> None:
        live = Live(store, encode, poll_s=POLL_S, recent=5)
        slow, quick = await slow_and_quick(live, store, task)
        ids = happen(store, task, 40)
        assert (await quick.hear(41))[1:] == ids
        assert len(live._recent) <= 5
        assert live.lag == 40
        assert await Ear(slow).hear(40) == ids
        assert live.lag == 0

    asyncio.run(scene())


def test_memory_holds_just_so_many_frames() -> None:
    """Twice as many now and then would be ten megabytes that come and go."""
    recent = Recent(0, 5)
    for each in range(1, 9):
        recent.add([Frame(each, "t", None, b"")])
        assert len(recent) == min(each, 5)
    assert (recent.floor, recent.portion(5, None)[1]) == (3, 8)


def test_it_ends_with_the_task(store: TaskStore) -> None:
    """After its last event."""
    task = open_task(store)

    async def scene() -> None:
        live = Live(store, encode, poll_s=POLL_S)
        following = asyncio.ensure_future(hear_all(live.follow(task.id)))
        await listening(live, 1)
        happen(store, task)
        store.cancel(task.id)
        events = await following
        assert events[-1].ends
        assert live.listeners == 0

    asyncio.run(scene())


def test_a_task_that_has_ended_is_told_to_its_end(store: TaskStore) -> None:
    """From the event that was asked for; nothing where none was; nothing of a task that is not there."""
    task = open_task(store)
    store.cancel(task.id)

    async def scene() -> None:
        live = Live(store, encode, poll_s=POLL_S)
        assert [
            each.ends for each in await hear_all(live.follow(task.id, after=store.events_kept().oldest - 1))
        ] == [False, True]
        assert await hear_all(live.follow(task.id)) == []
        assert await hear_all(live.follow("0" * 32)) == []

    asyncio.run(scene())


def test_an_end_that_nobody_has_read_yet_is_told(store: TaskStore) -> None:
    """The reader looks now and then; who asks in between hears of the end before his stream ends."""
    task = open_task(store)

    async def scene() -> None:
        live = Live(store, encode, poll_s=20 * POLL_S)
        await up_to_date(live, store, task)
        last = store.events_kept().newest
        store.cancel(task.id)
        told = await hear_all(live.follow(task.id, after=last))
        assert [each.ends for each in told] == [None, True]

    asyncio.run(scene())


def test_a_task_that_was_opened_again_goes_on(store: TaskStore) -> None:
    """Its earlier end is no end."""
    task = open_task(store)
    happen(store, task)
    store.cancel(task.id)
    store.retry(task.id)

    async def scene() -> None:
        live = Live(store, encode, poll_s=POLL_S)
        following = asyncio.ensure_future(
            hear_all(live.follow(task.id, after=store.events_kept().oldest - 1))
        )
        await listening(live, 1)
        await asyncio.sleep(5 * POLL_S)
        store.cancel(task.id)
        said = [each.ends for each in await following if each.ends is not None]
        assert said == [False, True, False, True]

    asyncio.run(scene())


@pytest.mark.parametrize("after", [1, 10**6], ids=["trimmed", "of another database"])
def test_who_asks_for_events_that_are_not_kept_is_told(store: TaskStore, after: int) -> None:
    """Rather than hear of some only."""
    happen(store, open_task(store), 10)
    store.trim_events(3)

    async def scene() -> None:
        with pytest.raises(MissedError):
            await hear_all(Live(store, encode, poll_s=POLL_S).follow(after=after))

    asyncio.run(scene())


def test_who_is_so_slow_that_his_events_are_gone_is_told(store: TaskStore) -> None:
    """In the middle of it all."""
    task = open_task(store)

    async def scene() -> None:
        live = Live(store, encode, poll_s=POLL_S, recent=2)
        slow, quick = await slow_and_quick(live, store, task)
        happen(store, task, 10)
        await quick.hear(11)
        store.trim_events(3)
        with pytest.raises(MissedError):
            await hear_all(slow)

    asyncio.run(scene())


def test_nobody_is_left_waiting_when_the_service_stops(store: TaskStore) -> None:
    """Nor who comes after."""

    async def scene() -> None:
        live = Live(store, encode, poll_s=60.0)
        following = asyncio.gather(*(hear_all(live.follow()) for _ in range(10)))
        await listening(live, 10)
        live.close()
        assert await following == [[]] * 10
        assert await hear_all(live.follow()) == []

    asyncio.run(scene())


def test_the_table_is_read_only_while_somebody_listens(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listening, nothing is asked."""
    reads: list[int] = []
    read = store.changed_since
    monkeypatch.setattr(store, "changed_since", lambda *a, **k: reads.append(1) or read(*a, **k))

    async def scene() -> None:
        live = Live(store, encode, poll_s=POLL_S)
        await asyncio.sleep(5 * POLL_S)
        assert not reads
        ear = asyncio.ensure_future(hear_all(live.follow()))
        async with asyncio.timeout(PATIENCE_S):
            while len(reads) < 3:  # noqa: ASYNC110 - the product rings for no test
                await asyncio.sleep(POLL_S)
        ear.cancel()
        await listening(live, 0)
        await asyncio.sleep(10 * POLL_S)
        reads.clear()
        await asyncio.sleep(10 * POLL_S)
        assert not reads

    asyncio.run(scene())
