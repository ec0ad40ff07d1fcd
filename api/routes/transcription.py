"""Asking for transcripts: submit, cancel, retry, download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from api import transcripts
from api.mounting import url
from api.openapi import TRANSCRIPT, body, problems
from api.queries import TranscriptQuery  # noqa: TC001 - FastAPI reads the annotations
from api.requests import core_of, submission
from api.schemas import Submission, TaskRef
from pipeline.errors import NotFoundError
from pipeline.named import parse_named
from pipeline.options import POST_NAMES
from pipeline.tasks import display

if TYPE_CHECKING:
    from pipeline.tasks import Task

router = APIRouter(prefix="/transcription", tags=["transcription"])


@router.post("", openapi_extra=body(Submission), responses=problems(400, 404, 409, 413, 503))
def submit(
    request: Request, response: Response, wanted: Annotated[Submission, Depends(submission)]
) -> TaskRef:
    """Transcribe a directory below the workdir, or one media file of it.

    Idempotent: asking again answers with the same task, unless what is asked for changes the text.
    """
    task = core_of(request).submit(
        wanted.dirname,
        parse_named(wanted.named(), allowed=POST_NAMES),
        include=wanted.include,
        exclude=wanted.exclude,
        priority=wanted.priority if "priority" in wanted.model_fields_set else None,
        force=wanted.force,
        callback_url=wanted.callback_url and str(wanted.callback_url),
    )
    answer = reference(request, task)
    response.headers["Location"] = answer.monitoring_url
    return answer


@router.delete("/{task_id}", responses=problems(404, 409, 503))
def cancel(request: Request, task_id: str) -> TaskRef:
    """Cancel a task; files already done stay."""
    return reference(request, core_of(request).cancel(task_id))


@router.post("/{task_id}/retry", responses=problems(404, 409, 503))
def retry(request: Request, task_id: str) -> TaskRef:
    """Try the failed files of a task again."""
    return reference(request, core_of(request).retry(task_id))


@router.get(
    "/{task_id}/files/{path:path}",
    response_class=Response,
    responses=problems(400, 404, 409, 503) | TRANSCRIPT,
)
def download(
    request: Request, task_id: str, path: str, query: Annotated[TranscriptQuery, Query()]
) -> Response:
    """Return a finished transcript; `path` is the media file's, as the monitoring answer shows it."""
    core = core_of(request)
    if core.store.task(task_id) is None:
        raise NotFoundError(f"There is no task {task_id[:64]!r}.")
    file = transcripts.find(core.store, task_id, path)
    return transcripts.answer(core.settings.output_dir or core.settings.workdir, file, query.format)


def reference(request: Request, task: Task) -> TaskRef:
    """Return a task as the routes that make or change one answer with it."""
    return TaskRef(
        task_id=task.id,
        task_status=task.state,
        dirname=display(task.dirname),
        monitoring_url=url(request, f"/monitoring/{task.id}"),
    )
