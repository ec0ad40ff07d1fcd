"""Very many listeners of GET /monitoring/events, as cheap as they can be: who measures must not be the load."""

from __future__ import annotations

import asyncio
import multiprocessing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

AT_ONCE = 50  # connections opened side by side
LOOK_S = 0.1


@dataclass(slots=True)
class Heard:
    """What a crowd has heard so far, all of it together."""

    bytes: int = 0
    events: int = 0
    welcomed: int = 0
    lost: int = 0


class Crowd:
    """All who listen to one service, in a process of their own: who times answers is not to wait for them."""

    def __init__(self, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        context.Process(target=_listen, args=(port, theirs), daemon=True).start()

    async def grow(self, size: int) -> None:
        """Have so many listen, and wait until the service has begun to tell each of them."""
        await self._ask(size)

    async def heard(self) -> Heard:
        """Return what they have heard."""
        return await self._ask(None)

    async def leave(self) -> None:
        """Hang up, all of them."""
        await self._ask(0)

    async def _ask(self, size: int | None) -> Heard:
        self._line.send(size)
        heard: Heard = await asyncio.to_thread(self._line.recv)
        return heard


def _listen(port: int, line: Connection) -> None:
    """Be the crowd: of the size that the line says, until it is closed."""
    asyncio.run(_obey(port, line))


async def _obey(port: int, line: Connection) -> None:
    heard, ears = Heard(), list[asyncio.BaseTransport]()
    while True:
        try:
            size = await asyncio.to_thread(line.recv)
        except EOFError:
            return
        if size == 0:
            _hang_up(ears)
        elif size is not None:
            await _grow(ears, size, port, heard)
        line.send(heard)


async def _grow(ears: list[asyncio.BaseTransport], size: int, port: int, heard: Heard) -> None:
    loop = asyncio.get_running_loop()
    while len(ears) < size:
        some = min(AT_ONCE, size - len(ears))
        opening = [loop.create_connection(lambda: _Ear(heard), "127.0.0.1", port) for _ in range(some)]
        ears += [transport for transport, _ in await asyncio.gather(*opening)]
    while heard.welcomed < size:  # noqa: ASYNC110 - it is looked at, nothing waits for it
        await asyncio.sleep(LOOK_S)


def _hang_up(ears: list[asyncio.BaseTransport]) -> None:
    for ear in ears:
        ear.close()
    ears.clear()


class _Ear(asyncio.Protocol):
    """One stream: counts what comes, understands nothing of it."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        asking = b"GET /monitoring/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        cast("asyncio.Transport", transport).write(asking)

    def data_received(self, data: bytes) -> None:
        """Count."""
        self._heard.bytes += len(data)
        self._heard.events += data.count(b"\nevent: ")
        self._heard.welcomed += data.count(b"retry: ")

    def connection_lost(self, _error: Exception | None) -> None:
        """Count this too."""
        self._heard.lost += 1
