"""What Prometheus scrapes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api.openapi import problems
from api.requests import core_of

TEXT = {"schema": {"type": "string"}}
FORMATS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The figures", "content": {"text/plain": TEXT, "application/openmetrics-text": TEXT}}
}

router = APIRouter(tags=["operations"], responses=problems())


@router.get("/metrics", response_class=Response, responses=FORMATS)
def metrics(request: Request) -> Response:
    """Tell every figure in Prometheus's text format; in OpenMetrics where `Accept` names it."""
    text, content_type = core_of(request).figures.shown(request.headers.get("accept", ""))
    return Response(text, media_type=content_type)
