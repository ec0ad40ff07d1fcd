"""The dependency in front of every route: a key with the route's scope, shown in a header or by a browser's cookie."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, HTTPException, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from api.keys.browsers import COOKIE, Browsers
from api.keys.key import is_whole
from api.keys.scopes import needed

if TYPE_CHECKING:
    from api.keys.key import Key, Scope
    from api.keys.ring import Ring

REALM = 'Bearer realm="whisper-transcription"'
BEARER = HTTPBearer(
    scheme_name="bearer", auto_error=False, description="a key of `whisper-transcription keys api add`"
)
HEADER = APIKeyHeader(
    name="X-API-Key",
    scheme_name="header",
    auto_error=False,
    description="the same key in a header of its own",
)
CARRIED = APIKeyCookie(
    name=COOKIE, scheme_name="cookie", auto_error=False, description="what POST /login gives a browser"
)


def ask_for_keys(app: FastAPI, keys: Ring | None) -> None:
    """Let the guard of this app's routes know the keys; None asks for none."""
    app.state.keys, app.state.browsers = keys, Browsers()
    _show_what_is_asked(app)


async def recognise(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    header: Annotated[str | None, Security(HEADER)],
    cookie: Annotated[str | None, Security(CARRIED)],
) -> None:
    """Find out with which key a request comes, if any; it is counted against that before `guard` may refuse it."""
    keys: Ring | None = request.app.state.keys
    secret = bearer.credentials if bearer else header
    key = None
    if keys:
        key = keys.of_secret(secret) if secret else _carried(request, keys, cookie)
        if key:
            keys.used(key)
    request.state.key, request.state.shown = key, (secret, cookie)


async def guard(request: Request) -> None:
    """Refuse who showed no good key (401), or one without the scope of this route (403)."""
    if request.app.state.keys:
        _refuse(request, request.state.key, *request.state.shown)


def caller(request: Request) -> Key | None:
    """Return the key that this request came with, if keys are asked for and it showed a good one."""
    key: Key | None = request.state.key
    return key


def still_good(request: Request) -> bool:
    """Tell whether what a request showed that goes on and on is good still: neither revoked nor logged out."""
    key, keys = caller(request), request.app.state.keys
    secret, cookie = request.state.shown
    return key is None or (keys.of_id(key.id) if secret else _carried(request, keys, cookie)) is not None


def may(request: Request, scope: Scope) -> bool:
    """Tell whether the caller may do this, for open routes that tell some more than others."""
    key = caller(request)
    return request.app.state.keys is None or (key is not None and scope in key.scopes)


def challenge(secret: str) -> HTTPException:
    """Return the refusal of a key that is not good (RFC 6750, 3)."""
    reason = (
        "is not known here; it may have been revoked" if is_whole(secret) else "is not whole: copy it again"
    )
    return HTTPException(401, f"This key {reason}.", {"WWW-Authenticate": f'{REALM}, error="invalid_token"'})


def _carried(request: Request, keys: Ring, cookie: str | None) -> Key | None:
    browsers: Browsers = request.app.state.browsers
    key_id = browsers.key_id(cookie, time.monotonic()) if cookie else None
    return keys.of_id(key_id) if key_id else None


def _refuse(request: Request, key: Key | None, secret: str | None, cookie: str | None) -> None:
    wanted = needed(request.method, request.scope["route"].path_format)
    if wanted is None:
        return
    if key is None:
        raise challenge(secret) if secret else _asked(cookie)
    if wanted not in key.scopes:
        raise _lacks(key, wanted)


def _asked(cookie: str | None) -> HTTPException:
    said = "You were logged out." if cookie else "This service asks for a key."
    return HTTPException(
        401,
        f"{said} Send 'Authorization: Bearer wt_…' or 'X-API-Key: wt_…'; whoever runs the service "
        "makes one with 'whisper-transcription keys api add'.",
        {"WWW-Authenticate": REALM},
    )


def _lacks(key: Key, wanted: Scope) -> HTTPException:
    said = f'{REALM}, error="insufficient_scope", scope="{wanted}"'
    return HTTPException(403, f"The key {key.name!r} lacks the scope {wanted}.", {"WWW-Authenticate": said})


def _show_what_is_asked(app: FastAPI) -> None:
    """Have the OpenAPI page tell which routes ask for a key: FastAPI shows what guards all on all."""
    made, keys = app.openapi, app.state.keys

    def openapi() -> dict[str, Any]:
        schema = made()
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                if keys is None or needed(method, path) is None:
                    operation.pop("security", None)
        if keys is None:
            schema["components"].pop("securitySchemes", None)
        return schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way
