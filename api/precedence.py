"""Those who ask go before what the service does by itself: it hears of each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pipeline.pace import Precedence


class Heard:
    """Has the core note each request as it begins."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] == "http":
            precedence: Precedence = scope["app"].state.core.precedence
            precedence.asked()
        await self._app(scope, receive, send)
