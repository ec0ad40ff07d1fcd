"""The HTTP application: a table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, Security

from api.head import Heads
from api.headers import SafeHeaders, parse_origins, share_with
from api.keys.guard import ask_for_keys, guard, recognise
from api.limits import Bodies, Rate, Turns, counted
from api.metrics.http import Measured
from api.mounting import Mounted, normalise
from api.precedence import Heard
from api.problems import answer_with_problems
from api.requests import same_origin
from api.routes import (
    documentation,
    events,
    login,
    metrics,
    monitoring,
    openai,
    operations,
    transcription,
    upload,
)
from pipeline.settings import Settings

if TYPE_CHECKING:
    from api.keys.ring import Ring
    from api.service import Core

DEFAULTS = Settings()
DESCRIPTION = (
    "Transcribe recordings with Whisper: submit a directory of the workdir, follow its task, fetch the texts."
)


def create_app(
    core: Core, *, root_path: str, keys: Ring | None = None, settings: Settings = DEFAULTS
) -> FastAPI:
    """Build the application that answers for `core` below the prefix `root_path` ("/" for none).

    With `keys` it asks for one; `settings` say what else it lets others do.
    """
    app = FastAPI(
        title="Whisper Transcription",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's own page is loaded from a CDN
        openapi_url="/openapi.json" if settings.docs else None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(same_origin), Security(recognise), Depends(counted), Depends(guard)],
    )
    app.state.core = core
    app.add_middleware(Mounted, prefix=normalise(root_path))
    app.add_middleware(Bodies, max_bytes=settings.max_upload_bytes)
    share_with(app, parse_origins(settings.cors_origins or ""))
    app.add_middleware(SafeHeaders)
    app.add_middleware(Measured)  # around all that answers
    app.add_middleware(Heads)
    app.add_middleware(Heard)
    answer_with_problems(app)
    ask_for_keys(app, keys)
    app.state.rate = Rate(settings.rate_limit) if settings.rate_limit else None
    app.state.turns = Turns(settings.max_uploads)
    for routes in (upload, transcription, events, monitoring, openai, operations, metrics, login):
        app.include_router(routes.router)
    if settings.docs:
        app.include_router(documentation.router)
    return app
