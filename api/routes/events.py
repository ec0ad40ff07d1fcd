"""What changes, as it changes: server-sent events."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import anyio
from fastapi import APIRouter, Header, Query, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError

from api.event_schemas import EVENTS
from api.keys.guard import still_good
from api.openapi import problems
from api.queries import EventId, EventsQuery  # noqa: TC001 - FastAPI reads the annotations
from api.requests import core_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send


HEARTBEAT_S = 15.0  # proxies give up on a line that is silent for 30 or 60
STUCK_S = 60.0  # who takes nothing in for so long has gone, or stops others from going
LAST_WORD_S = 1.0

router = APIRouter(prefix="/monitoring", tags=["monitoring"], responses=problems(400, 404, 503))


class _Stream(EventSourceResponse):
    """A stream of events. It ends early where the client does not read it, or its key was revoked."""

    def __init__(self, content: AsyncIterator[bytes], is_welcome: Callable[[], bool]) -> None:
        super().__init__(content, ping=HEARTBEAT_S, ping_message_factory=self._beat, send_timeout=STUCK_S)
        self._is_welcome = is_welcome

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except (SendTimeoutError, PermissionError):
            with anyio.move_on_after(LAST_WORD_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _beat(self) -> ServerSentEvent:
        if not self._is_welcome():
            raise PermissionError
        return ServerSentEvent(comment="")


@router.get("/events", response_class=Response, responses=EVENTS)
async def events(
    request: Request,
    query: Annotated[EventsQuery, Query()],
    last_event_id: Annotated[EventId, Header(description="resume after this event")] = None,
) -> Response:
    """Stream every change of status and progress, of all tasks or of one until it has ended.

    204 when a task has ended and all was told: an EventSource then stays closed.
    """
    feed = core_of(request).feed
    after = query.lastEventId if last_event_id is None else last_event_id
    if query.task_id is not None and await feed.is_over(query.task_id, after):
        return Response(status_code=204)
    return _Stream(feed.stream(query.task_id, after), partial(still_good, request))
