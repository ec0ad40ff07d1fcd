"""Very many listeners of GET /monitoring/events, as cheap as they can be: who measures must not be the load."""

from __future__ import annotations

import asyncio
from typing import cast

AT_ONCE = 50  # connections opened side by side
LOOK_S = 0.1


class Listener(asyncio.Protocol):
    """One stream: counts what comes, understands nothing of it."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        cast("asyncio.Transport", transport).write(
            b"GET /monitoring/events%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % self._crowd.query.encode()
        )

    def data_received(self, data: bytes) -> None:
        """Count."""
        self._crowd.bytes += len(data)
        self._crowd.events += data.count(b"\nevent: ")
        self._crowd.welcomed += data.count(b"retry: ")

    def connection_lost(self, _error: Exception | None) -> None:
        """Count this too."""
        self._crowd.lost += 1


class Crowd:
    """All who listen to one service."""

    def __init__(self, port: int, query: str = "") -> None:
        self.query = query
        self.bytes = self.events = self.welcomed = self.lost = 0
        self._port = port
        self._lines: list[asyncio.BaseTransport] = []

    async def grow(self, size: int) -> None:
        """Have so many listen, and wait until the service has begun to tell each of them."""
        loop = asyncio.get_running_loop()
        while len(self._lines) < size:
            some = min(AT_ONCE, size - len(self._lines))
            opening = [
                loop.create_connection(lambda: Listener(self), "127.0.0.1", self._port) for _ in range(some)
            ]
            self._lines += [transport for transport, _ in await asyncio.gather(*opening)]
        while self.welcomed < size:  # noqa: ASYNC110 - it is looked at, nothing waits for it
            await asyncio.sleep(LOOK_S)

    async def leave(self) -> None:
        """Hang up, all of them."""
        for line in self._lines:
            line.close()
        self._lines.clear()
        await asyncio.sleep(0)
