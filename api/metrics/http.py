"""How requests are answered: a middleware around all others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
NOWHERE = "unmatched"  # whoever probes for paths makes no series
LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Requests:
    """Counts answers by method, route template and status, and how long each took to begin."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "http_requests",
            "HTTP requests that were answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._latency = Histogram(
            "http_request_duration",
            "Time until an HTTP answer began: a stream of events goes on for hours.",
            ["method", "route"],
            unit="seconds",
            buckets=LATENCY_S,
            registry=registry,
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer, after its route is known."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = getattr(scope.get("route"), "path_format", NOWHERE)
        self._answers.labels(method, route, status).inc()
        self._latency.labels(method, route).observe(seconds)


class Measured:
    """Has every answer counted, also those of other middleware and of a route that raised."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on and note how its answer begins; who hangs up before that is not counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        requests: Requests = scope["app"].state.core.figures.requests
        began = self._clock()
        has_begun = False

        async def note(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                requests.answered(scope, message["status"], self._clock() - began)
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception:
            if not has_begun:  # Starlette answers 500 further out
                requests.answered(scope, 500, self._clock() - began)
            raise
