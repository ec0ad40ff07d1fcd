"""What every route takes from a request: the core, a body of bounded size, and that no foreign page sent it."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import TYPE_CHECKING, TypeVar

from fastapi import HTTPException, Request
from pydantic import BaseModel, ValidationError

from api.headers import ANY
from api.problems import TooLargeError, explain
from api.schemas import Forget, Login, Submission
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from api.service import Core

MAX_BODY = 2**20
M = TypeVar("M", bound=BaseModel)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def core_of(request: Request) -> Core:
    """Return the core this app answers for."""
    core: Core = request.app.state.core
    return core


def declared(headers: Headers) -> int:
    """Return how many bytes a request says that its body has; 0 where it does not say."""
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


async def same_origin(request: Request) -> None:
    """Refuse what a foreign web page makes its visitor's browser send: no page should pause this service.

    By Sec-Fetch-Site, or by Origin against Host where the browser sends no such header (plain HTTP). Programs
    send neither. Pages of the origins that whoever runs the service named (CORS) are not foreign.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if request.app.state.origins & {origin, ANY}:
        return
    if site is None and origin is not None:
        site = "same-origin" if origin.partition("://")[2] == request.headers.get("host") else "cross-site"
    if site not in (None, "same-origin", "none"):
        raise HTTPException(403, "A page of another origin sent this request; it is refused.")


async def submission(request: Request) -> Submission:
    """Read and check the body of POST /transcription, whatever content type a client names."""
    return await _checked(request, Submission, 'send a JSON object like {"dirname": "talks"}')


async def login_body(request: Request) -> Login:
    """Read and check the body of POST /login."""
    return await _checked(request, Login, 'send a JSON object like {"key": "wt_…"}')


async def oblivion(request: Request) -> Forget:
    """Read and check the body of POST /forget."""
    return await _checked(request, Forget, 'send a JSON object like {"path": "talks/monday.mp3"}')


async def _checked(request: Request, model: type[M], advice: str) -> M:
    body = (await _read(request)).removeprefix(BOM_UTF8)  # Windows puts one before a file's text
    if not body.strip():
        raise UsageError(f"the body is empty: {advice}")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise UsageError(explain(error.errors(), model.model_fields)) from error


async def _read(request: Request) -> bytes:
    """Return the whole body; TooLargeError as soon as it is known to exceed MAX_BODY."""
    too_large = TooLargeError(f"the body is larger than {MAX_BODY} bytes")
    if declared(request.headers) > MAX_BODY:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise too_large
    return bytes(body)
