"""The prefix the service is mounted under: routes work with it and without it, URLs in answers carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.routing import Match

from pipeline.errors import BadOptionsError

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.types import ASGIApp, Receive, Scope, Send


def normalise(mounting_path: str) -> str:
    """Return the prefix as ASGI's root_path: "" for none, else with one leading and no trailing slash.

    Raises BadOptionsError for what is no path, such as a whole URL.
    """
    if "://" in mounting_path or set(mounting_path) & set("?#%\\") or not mounting_path.isprintable():
        raise BadOptionsError(f"mounting_path {mounting_path!r}: give the path alone, such as /whisper")
    return "".join(f"/{part}" for part in mounting_path.split("/") if part)


def url(request: Request, path: str) -> str:
    """Return a path of ours as clients must ask for it: path-absolute, below the prefix, quoted."""
    return quote(request.scope["root_path"] + path)


class Mounted:
    """Give the app one form of path, `root_path` + route, whether or not the proxy stripped the prefix.

    A trailing slash is dropped: a redirect would need the scheme and host the proxy was asked for.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on with its path in that form."""
        if scope["type"] == "http":
            scope["path"] = self._prefix + self._route(scope)
            scope["root_path"] = self._prefix
        await self._app(scope, receive, send)

    def _route(self, scope: Scope) -> str:
        path: str = scope["path"].rstrip("/") or "/"
        if not self._prefix or not f"{path}/".startswith(f"{self._prefix}/"):
            return path
        inside = path[len(self._prefix) :] or "/"
        # Under /transcription, a stripped POST /transcription looks like the bare prefix: the routes decide.
        return path if _serves(scope, path) and (inside == "/" or not _serves(scope, inside)) else inside


def _serves(scope: Scope, path: str) -> bool:
    bare = {**scope, "path": path, "root_path": ""}
    return any(route.matches(bare)[0] is Match.FULL for route in scope["app"].router.routes)
