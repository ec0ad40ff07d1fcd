"""HEAD: what GET would say, without its content (RFC 9110, 9.3.2). Probes and link checkers ask so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """Has HEAD answered by the route of GET, and ends the answer with its head, also that of an endless stream."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})  # whoever streams hears that the client has gone

        await self._app({**scope, "method": "GET"}, receive, send_head)
