"""Running the service: is it alive, is it ready, scan now, pause, go on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api import condition
from api.keys.guard import may
from api.keys.key import Scope
from api.openapi import body, problems
from api.problems import problem
from api.requests import core_of, oblivion
from api.schemas import Alive, Forget, Forgotten, Paused, Ready, Requested
from pipeline.tasks import display

router = APIRouter(tags=["operations"], responses=problems())


@router.get("/healthz")
async def healthz() -> Alive:
    """Answer that the process is alive, however busy its threads are."""
    return Alive()


@router.get("/readyz", response_model=Ready, responses=problems(503))
def readyz(request: Request) -> Ready | Response:
    """Tell whether work is accepted and done; 503 when it is not.

    With the reasons and what is known of the parts; where keys are asked for, to who shows one only.
    """
    core = core_of(request)
    reasons = condition.problems(core)
    if not may(request, Scope.READ):
        return problem(503, "Not ready; a key would be told why.", code="not_ready") if reasons else Ready()
    if reasons:
        return problem(503, "; ".join(reasons), code="not_ready", reasons=reasons, **condition.facts(core))
    return Ready(**condition.facts(core))


@router.post("/rescan")
def rescan(request: Request) -> Requested:
    """Scan the workdir now."""
    core_of(request).rescan_now()
    return Requested()


@router.post("/forget", openapi_extra=body(Forget), responses=problems(400, 409, 413, 503))
def forget(request: Request, wanted: Annotated[Forget, Depends(oblivion)]) -> Forgotten:
    """Erase transcripts and all that is remembered of recordings; never the recordings.

    Those that still lie there are new again: the watcher transcribes them anew.
    """
    erased = core_of(request).forget(wanted.path)
    return Forgotten(path=wanted.path, erased=[display(each) for each in erased])


@router.post("/pause")
def pause(request: Request) -> Paused:
    """Stop batch work at the next window; what was accepted waits."""
    core_of(request).pause()
    return Paused(paused=True)


@router.post("/resume")
def resume(request: Request) -> Paused:
    """Go on with batch work."""
    core_of(request).resume()
    return Paused(paused=False)
