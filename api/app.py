"""The HTTP application: a table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI

from api.mounting import Mounted, normalise
from api.problems import answer_with_problems
from api.requests import same_origin
from api.routes import documentation, events, monitoring, operations, transcription

if TYPE_CHECKING:
    from api.service import Core

DESCRIPTION = (
    "Transcribe recordings with Whisper: submit a directory of the workdir, follow its task, fetch the texts."
)


def create_app(core: Core, *, root_path: str) -> FastAPI:
    """Build the application that answers for `core` below the prefix `root_path` ("/" for none)."""
    app = FastAPI(
        title="Whisper Transcription",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's own page is loaded from a CDN
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(same_origin)],
    )
    app.state.core = core
    app.add_middleware(Mounted, prefix=normalise(root_path))
    answer_with_problems(app)
    for routes in (transcription, events, monitoring, operations, documentation):
        app.include_router(routes.router)
    return app
