"""A browser's way in: a key for a cookie, as event streams and plain links can send no header."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.keys.browsers import COOKIE, LIFE_S
from api.keys.guard import challenge
from api.openapi import body, problems
from api.requests import login_body
from api.schemas import LoggedIn, Login
from pipeline.errors import ConflictError

router = APIRouter(tags=["keys"])


@router.post("/login", openapi_extra=body(Login), responses=problems(400, 409, 413))
async def login(
    request: Request, response: Response, shown: Annotated[Login, Depends(login_body)]
) -> LoggedIn:
    """Give a browser a cookie in exchange for a key: it may then do what the key may, for twelve hours."""
    state = request.app.state
    if state.keys is None:
        raise ConflictError("this service asks for no keys: go on without")
    key = state.keys.of_secret(shown.key)
    if key is None:
        raise challenge(shown.key)
    state.keys.used(key)
    response.set_cookie(
        COOKIE,
        state.browsers.admit(key.id, time.monotonic()),
        max_age=LIFE_S,
        path=_path(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return LoggedIn(name=key.name, scopes=sorted(key.scopes))


@router.post("/logout", status_code=204, responses=problems())
async def logout(request: Request, response: Response) -> None:
    """End what POST /login began."""
    request.app.state.browsers.dismiss(request.cookies.get(COOKIE, ""))
    response.delete_cookie(COOKIE, path=_path(request), httponly=True, samesite="strict")


def _path(request: Request) -> str:
    return request.scope["root_path"] or "/"
