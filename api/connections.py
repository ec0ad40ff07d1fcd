"""Connections that send nothing are let go of, and there is room for very many."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

REQUEST_S = 20.0  # from the connection, or the last answer, to the end of a request's head
MAX_OPEN_FILES = 65_536


class Connection(H11Protocol):
    """uvicorn's own, closed when no request has begun for REQUEST_S, however its bytes drip.

    uvicorn waits for the first byte of a connection for ever, and for the rest of a head (slow-loris) as well.
    """

    _impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect_after(None)

    def on_response_complete(self) -> None:
        """Wait for the next request; what may still come of this one's body is thrown away meanwhile."""
        answered = self.cycle
        super().on_response_complete()
        self._expect_after(answered)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._impatience:
            self._impatience.cancel()
        super().connection_lost(exc)

    def _expect_after(self, answered: Any) -> None:
        if self._impatience:
            self._impatience.cancel()
        self._impatience = self.loop.call_later(REQUEST_S, self._close_unless_past, answered)

    def _close_unless_past(self, answered: Any) -> None:
        if self.cycle is answered:
            self.transport.close()


def allow_many() -> None:
    """Raise the soft limit on open files: a connection is one, and 1,024 are soon used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
