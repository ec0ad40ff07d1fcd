"""Errors as answers: RFC 9457 problem+json, and the one table from our errors to status codes."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api.audio.errors import error_body, is_openai
from api.queries import EventsQuery, TasksQuery, TranscriptQuery
from pipeline.errors import (
    ConflictError,
    EnvironmentUnusableError,
    IllegalTransitionError,
    NotFoundError,
    PipelineError,
    UnavailableError,
    UsageError,
)
from pipeline.languages import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fastapi import FastAPI, Request

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 10
PARAMETERS = (*EventsQuery.model_fields, *TasksQuery.model_fields, *TranscriptQuery.model_fields)
DETAIL_CHARS = 1000  # what a client sent is quoted, but not by the megabyte


class TooLargeError(UsageError):
    """The body is larger than this route takes."""

    code = "too_large"


class SlowError(UsageError):
    """The body came too slowly; send it again over a better line."""

    code = "too_slow"


class TooManyError(PipelineError):
    """There were too many requests; `retry_after` says in how many seconds one is welcome again."""

    code = "too_many"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


STATUS: Mapping[type[PipelineError], int] = {
    SlowError: HTTPStatus.REQUEST_TIMEOUT,
    TooManyError: HTTPStatus.TOO_MANY_REQUESTS,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UsageError: HTTPStatus.BAD_REQUEST,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    IllegalTransitionError: HTTPStatus.CONFLICT,  # another request was faster
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    EnvironmentUnusableError: HTTPStatus.SERVICE_UNAVAILABLE,
    PipelineError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def problem(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    """Answer with an RFC 9457 problem; `members` are its extension members (`code`)."""
    body = {
        "type": "about:blank",  # then the title is the status's own phrase (RFC 9457, 4.2.1)
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": _short(detail),
    }
    return _json(status, body | members, headers, MEDIA_TYPE)


def refusal(
    request: Request, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    """Answer with an error in the words of the API that was asked: OpenAI's below /v1, else a problem."""
    if not is_openai(request.scope["path"].removeprefix(request.scope["root_path"])):
        return problem(status, detail, headers=headers, **members)
    return _json(status, error_body(status, _short(detail), **members), headers, "application/json")


def _json(status: int, body: Any, headers: Mapping[str, str] | None, media_type: str) -> Response:
    wait = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    # what UTF-8 cannot hold of a name that is quoted becomes JSON's own escape
    raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(raw, status, {**wait, **(headers or {})}, media_type=media_type)


def _short(detail: str) -> str:
    return detail if len(detail) <= DETAIL_CHARS else f"{detail[:DETAIL_CHARS]}…"


def answer_with_problems(app: FastAPI) -> None:
    """Make every error of the app answer problem+json."""
    app.add_exception_handler(PipelineError, _pipeline_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(Exception, _unforeseen)


def explain(errors: Sequence[Mapping[str, Any]], known: Iterable[str]) -> str:
    """Put pydantic's errors into words, the closest of the known names beside an unknown one."""
    return "; ".join(_explain_one(each, known) for each in errors)


def _explain_one(error: Mapping[str, Any], known: Iterable[str]) -> str:
    place = [part for part in error["loc"] if part not in ("query", "path", "header")]
    # what is text further down is pydantic's name for one type of several that a field may have
    where = ".".join(str(part) for part in place if part == place[0] or isinstance(part, int))
    if error["type"] == "extra_forbidden":
        return f"{where!r} is not known here.{closest(where, list(known))}"
    if error["type"] == "missing":
        return f"{where!r} is missing"
    said = error["msg"].removeprefix("Value error, ")  # our own validators need no such label
    return f"{where}: {uncapitalised(said)}" if where else uncapitalised(said)


def uncapitalised(said: str) -> str:
    """Return a message as it reads within a sentence, where it does not begin with an acronym."""
    return said if said[1:2].isupper() else f"{said[:1].lower()}{said[1:]}"


def _pipeline_error(request: Request, error: Any) -> Response:
    status = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyError) else None
    named = {"param": error.param} if hasattr(error, "param") else {}
    return refusal(request, status, str(error), headers=headers, code=error.code, **named)


def _invalid(request: Request, error: Any) -> Response:
    detail = explain(error.errors(), PARAMETERS)
    return refusal(request, HTTPStatus.BAD_REQUEST, detail, code=UsageError.code)


def _http_error(request: Request, error: Any) -> Response:
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"Nothing is served at {request.scope['path']}."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} does not go with {request.scope['path']}."
    return refusal(request, error.status_code, detail, headers=error.headers)


def _disconnected(request: Request, _error: Any) -> Response:
    return refusal(request, HTTPStatus.BAD_REQUEST, "The client went away before its body had arrived.")


def _unforeseen(request: Request, error: Any) -> Response:
    # Starlette raises it again after this answer, so that the server logs the traceback.
    logger.error("%s %s failed: %s", request.method, request.scope["path"], type(error).__name__)
    detail = "This is a defect of the service; its log says more."
    return refusal(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)
