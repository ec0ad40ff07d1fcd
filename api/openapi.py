"""What the OpenAPI page must be told, as FastAPI cannot see it: problems, the checked body, transcripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.problems import MEDIA_TYPE
from api.schemas import Problem, Submission
from api.transcripts import MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from pydantic import BaseModel

_PROBLEM = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
_WORDS = {
    400: "The request is malformed",
    404: "No such directory, file or task",
    408: "The body came too slowly",
    409: "The present state forbids it",
    413: "The body is too large",
    503: "Not able to, for now; Retry-After says when to come again",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers these problems.

    Any other client error looks the same; saying so for 4XX keeps FastAPI from promising a 422.
    """
    named: dict[int | str, dict[str, Any]] = {
        status: {"description": _WORDS[status], "content": _PROBLEM} for status in statuses
    }
    return {**named, "4XX": {"description": "The request cannot be granted", "content": _PROBLEM}}


def body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that reads this body itself."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def upload_body(files: str, left_out: AbstractSet[str]) -> dict[str, Any]:
    """Return the `openapi_extra` of the route that takes files, and in fields all of a Submission but `left_out`."""
    schema = Submission.model_json_schema()
    schema["properties"] = {
        files: {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "minItems": 1,
            "description": "recordings, each under its name or its path below the new directory",
        }
    } | {name: shown for name, shown in schema["properties"].items() if name not in left_out}
    schema["properties"]["dirname"] |= {"description": "the new directory, relative to the workdir"}
    schema |= {
        "title": "Upload",
        "description": "Recordings, and what to do with them.",
        "required": ["dirname", files],
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


TRANSCRIPT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript",
        "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()},
    }
}
