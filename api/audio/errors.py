"""OpenAI's body of an error; and the errors that name a field, which no other route has."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pipeline.errors import NotFoundError, UsageError

PATH = "/v1"
PLAIN = frozenset({"usage", "not_found", "error"})  # codes of ours that say no more than the status
TYPES = {HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error"}
CODES = {
    HTTPStatus.UNAUTHORIZED: "invalid_api_key",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_supported",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_exceeded",
}


class FieldError(UsageError):
    """A field of the form cannot be used."""

    def __init__(self, detail: str, param: str) -> None:
        super().__init__(detail)
        self.param = param


class UnknownModelError(NotFoundError):
    """There is no such model."""

    code = "model_not_found"
    param = "model"


class UnusableAudioError(UsageError):
    """The recording could not be transcribed."""

    code = "unusable_audio"
    param = "file"


def is_openai(path: str) -> bool:
    """Tell whether a route's path is one of OpenAI's API, served or not."""
    return path == PATH or path.startswith(f"{PATH}/")


def error_body(
    status: int, message: str, *, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it."""
    of_server = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    kind = TYPES.get(HTTPStatus(status), "server_error" if of_server else "invalid_request_error")
    said = CODES.get(HTTPStatus(status), None if code in PLAIN else code)
    return {"error": {"message": message, "type": kind, "param": param, "code": said}}
