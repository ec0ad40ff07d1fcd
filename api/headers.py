"""Headers that tell browsers what not to do with our answers, and which other pages may ask for them."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware

from pipeline.errors import BadOptionsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANY = "*"
SAFE = {
    "X-Content-Type-Options": "nosniff",  # a transcript is no page, whatever somebody said in it
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # what people said stays out of caches
}
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([^\s/:?#@\[\]]+|\[[0-9a-f:.]+\])(:\d{1,5})?")
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class SafeHeaders:
    """Adds SAFE to every answer; a route that sets one of them itself is left its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_safely)


def page_policy(page: bytes) -> str:
    """Return the Content-Security-Policy of a page of ours: its own inline scripts and our files, nothing else."""
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE.findall(page)]
    scripts = " ".join(["'self'", *(f"'sha256-{each}'" for each in hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def parse_origins(text: str) -> tuple[str, ...]:
    """Return the origins in a comma list, as browsers spell them; `*` is any. Raises BadOptionsError."""
    origins = tuple(each.strip().rstrip("/").lower() for each in text.split(",") if each.strip())
    for each in origins:
        if each != ANY and not _ORIGIN.fullmatch(each):
            raise BadOptionsError(
                f"cors_origins: {each!r} is no origin; give scheme and host: https://example.org"
            )
    return origins


def share_with(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins ask and read the answers. No cookie goes along: they show a key in a header."""
    app.state.origins = frozenset(origins)
    if not origins:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["Location", "Retry-After"],
    )
