"""Sending recordings: a multipart body is stored as it arrives, then submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from api.multipart import Multipart
from api.openapi import problems, upload_body
from api.problems import explain
from api.requests import core_of, declared
from api.routes.transcription import reference
from api.schemas import Submission, TaskRef
from pipeline.errors import UsageError
from pipeline.languages import closest
from pipeline.named import parse_named
from pipeline.options import POST_NAMES
from pipeline.tasks import Source

if TYPE_CHECKING:
    from api.service import Core
    from pipeline.ingest.upload import Upload
    from pipeline.tasks import Task

router = APIRouter(prefix="/transcription", tags=["transcription"])

FILES = "files"
NOT_HERE = frozenset({"include", "exclude"})  # whoever sends the files chooses among them there


@router.post(
    "/upload", openapi_extra=upload_body(FILES, NOT_HERE), responses=problems(400, 408, 409, 413, 503)
)
async def upload(request: Request, response: Response) -> TaskRef:
    """Store recordings in a new directory of the workdir, whole or not at all, and transcribe them.

    Files are sent as `files`, each under its name or its path below that directory.
    """
    core = core_of(request)
    core.require_open()
    async with request.app.state.turns.taken():
        task = await _stored(request, core)
    answer = reference(request, task)
    response.headers["Location"] = answer.monitoring_url
    return answer


async def _stored(request: Request, core: Core) -> Task:
    received = await run_in_threadpool(core.uploads.begin, declared(request.headers))
    try:
        form = Multipart(request.headers.get("content-type", ""), received, files=FILES)
        async for chunk in request.stream():
            await run_in_threadpool(_feed, core, form, chunk)
        form.close()
        return await run_in_threadpool(_submit, core, received, form)
    finally:
        await run_in_threadpool(received.discard)


def _feed(core: Core, form: Multipart, chunk: bytes) -> None:
    known = len(form.fields)
    form.feed(chunk)
    for name, value in form.fields[known:]:
        if name == "dirname":
            core.uploads.locate(value)  # if it cannot be had, the client need not send the rest


def _submit(core: Core, received: Upload, form: Multipart) -> Task:
    wanted = _checked(form.fields)
    options = parse_named(wanted.named(), allowed=POST_NAMES)
    if not received.files:
        raise UsageError(f"no file was sent; send recordings as {FILES!r}")
    core.require_open()
    if wanted.callback_url:
        core.addresses.check(str(wanted.callback_url))  # before anything is stored
    path = core.uploads.locate(wanted.dirname)
    received.put(path)
    task = core.submit(
        path,
        options,
        source=Source.API,
        priority=wanted.priority,
        force=wanted.force,
        callback_url=wanted.callback_url and str(wanted.callback_url),
    )
    core.intake.notice(path, moved=[path + b"/" + name for name in received.files], source=Source.API)
    return task


def _checked(fields: list[tuple[str, str]]) -> Submission:
    """Return what the form's fields ask for; one that was left empty was not filled in."""
    known = Submission.model_fields.keys() - NOT_HERE
    given: dict[str, str] = {}
    for name, value in fields:
        if name in given:
            raise UsageError(f"{name!r} was given twice")
        if value:
            given[name] = value
    if unknown := sorted(given.keys() - known):
        raise UsageError(
            "; ".join(f"{each!r} is not known here.{closest(each, sorted(known))}" for each in unknown)
        )
    try:
        return Submission.model_validate_strings(given, strict=False)
    except ValidationError as error:
        raise UsageError(explain(error.errors(), known)) from error
