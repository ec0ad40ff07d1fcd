"""What one client may take of this service: bytes, time and requests. Who takes more is answered 413, 408 or 429."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import limits
from fastapi import Request  # noqa: TC002 - FastAPI reads the annotation
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.datastructures import Headers

from api.keys.guard import caller
from api.problems import SlowError, TooLargeError, TooManyError
from api.requests import declared
from pipeline.errors import BadOptionsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

IDLE_S = 60.0  # between two pieces of a body
GRACE_S = 60.0  # for a body of any size; then MIN_RATE counts, over all the time spent waiting for it
MIN_RATE = 500  # bytes a second, as Apache's mod_reqtimeout has it: slower is no line, but an attack
TURN_S = 20.0  # that a client waits before it may send; a proxy waits for a minute
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # what machines ask for by the clock


class Bodies:
    """Let no request's body grow beyond `max_bytes`, declared or not, or come so slowly that it never ends."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, its body watched: what is too much is raised where the body is read."""
        if scope["type"] == "http":
            receive = _Body(receive, self._max_bytes, declared(Headers(scope=scope))).receive
        await self._app(scope, receive, send)


class _Body:
    """One body as it is received. Only the time spent waiting counts, so that a slow disk is no slow client."""

    def __init__(self, receive: Receive, max_bytes: int, declared: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._bytes = 0
        self._declared = declared
        self._waited = 0.0
        self._ended = False

    async def receive(self) -> Message:
        """Return the next message. Raises TooLargeError, SlowError."""
        if self._ended:
            return await self._receive()
        self._check_size(self._declared)
        message = await self._wait()
        self._bytes += len(message.get("body", b""))
        self._check_size(self._bytes)
        self._ended = not message.get("more_body", False)
        return message

    async def _wait(self) -> Message:
        began = time.monotonic()
        left = GRACE_S + self._bytes / MIN_RATE - self._waited
        try:
            async with asyncio.timeout(min(IDLE_S, left)):
                message = await self._receive()
        except TimeoutError as error:
            raise SlowError from error
        self._waited += time.monotonic() - began
        return message

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise TooLargeError(f"the body is larger than {self._max_bytes} bytes (--max_upload_bytes)")


class Turns:
    """Lets so many clients send recordings at once; others wait a while for their turn, their bodies unread."""

    def __init__(self, at_once: int) -> None:
        self._places = anyio.Semaphore(max(0, at_once))

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold one of the places. Raises UnavailableError where none was free in time."""
        try:
            with anyio.fail_after(TURN_S):
                await self._places.acquire()
        except TimeoutError as error:
            raise UnavailableError(
                "as many clients as --max_uploads allows are sending; try again"
            ) from error
        try:
            yield
        finally:
            self._places.release()


class Rate:
    """Counts requests by whoever sends them, in memory; a client's window begins with its first request."""

    def __init__(self, text: str) -> None:
        """`text` is such as 100/minute. Raises BadOptionsError."""
        self._limit = parse_rate(text)
        self._counted = FixedWindowRateLimiter(MemoryStorage())

    async def count(self, client: str) -> None:
        """Count one request. Raises TooManyError, which says when to come again."""
        if not await self._counted.hit(self._limit, client):
            reset = (await self._counted.get_window_stats(self._limit, client)).reset_time
            wait = max(1, math.ceil(reset - time.time()))
            raise TooManyError(f"more than {self._limit} from {client}; come again in {wait} s", wait)


def parse_rate(text: str) -> limits.RateLimitItem:
    """Return the limit that a text such as 100/minute names. Raises BadOptionsError."""
    try:
        limit = limits.parse(text)
    except ValueError:
        limit = None
    if limit is None or limit.amount < 1:
        raise BadOptionsError(f"rate_limit {text!r}: give a number of requests and a time, as in 100/minute")
    return limit


async def counted(request: Request) -> None:
    """Count a request against its key, or against its address where it came with none."""
    rate: Rate | None = request.app.state.rate
    if rate is None or request.scope["route"].path in PROBES:
        return
    key = caller(request)
    await rate.count(f"the key {key.name!r}" if key else request.client.host if request.client else "unknown")
