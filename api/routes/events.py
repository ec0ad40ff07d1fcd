"""What changes, as it changes: server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError

from api.event_schemas import EVENTS
from api.openapi import problems
from api.requests import core_of
from api.schemas import EventId, EventsQuery  # noqa: TC001 - FastAPI reads the annotations

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


HEARTBEAT_S = 15.0  # proxies give up on a line that is silent for 30 or 60
STUCK_S = 60.0  # who takes nothing in for so long has gone, or stops others from going

router = APIRouter(prefix="/monitoring", tags=["monitoring"], responses=problems(400, 404))


class _Stream(EventSourceResponse):
    """A stream of events; a client that does not read it is let go."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


@router.get("/events", response_class=Response, responses=EVENTS)
async def events(
    request: Request,
    query: Annotated[EventsQuery, Query()],
    last_event_id: Annotated[EventId | None, Header(description="resume after this event")] = None,
) -> Response:
    """Stream every change of status and progress, of all tasks or of one until it has ended.

    204 when a task has ended and all was told: an EventSource then stays closed.
    """
    feed = core_of(request).feed
    after = query.lastEventId if last_event_id is None else last_event_id
    if query.task_id is not None and await feed.is_over(query.task_id, after):
        return Response(status_code=204)
    return _Stream(feed.stream(query.task_id, after), ping=HEARTBEAT_S, send_timeout=STUCK_S)
