"""OpenAI's audio API: a recording is spooled as it arrives, transcribed before all batch work, and forgotten."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api.audio import answers, models
from api.audio.errors import FieldError, error_body
from api.audio.fields import Asked, TranscriptionForm, TranslationForm, asked
from api.audio.pieces import Pieces
from api.audio.shapes import TRANSCRIPT, Model, ModelList, form_body, refusals
from api.audio.waiting import Heard, Waiting
from api.multipart import Multipart
from api.requests import core_of, declared
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine

    from starlette.types import Receive, Scope, Send

    from api.audio.spool import Recording
    from api.service import Core

T = TypeVar("T")

router = APIRouter(prefix="/v1", tags=["openai"])


@router.post(
    "/audio/transcriptions",
    openapi_extra=form_body(TranscriptionForm),
    responses=TRANSCRIPT | refusals(400, 404, 408, 413, 503),
    response_class=Response,
)
async def transcriptions(request: Request) -> Response:
    """Transcribe the recording in the form, as OpenAI's API does."""
    return await _answer(request, TranscriptionForm)


@router.post(
    "/audio/translations",
    openapi_extra=form_body(TranslationForm),
    responses=TRANSCRIPT | refusals(400, 404, 408, 413, 503),
    response_class=Response,
)
async def translations(request: Request) -> Response:
    """Translate the recording in the form into English, as OpenAI's API does."""
    return await _answer(request, TranslationForm)


@router.get("/models", responses=refusals())
def list_models(request: Request) -> ModelList:
    """List the models that can be used at once: the configured one, and those whose weights are there."""
    settings = core_of(request).settings
    names = models.ready(settings.options.model, settings.path2whisper_cache)
    return ModelList(data=[_described(name) for name in names])


@router.get("/models/{model}", responses=refusals(404))
def retrieve_model(request: Request, model: str) -> Model:
    """Tell whether a model can be named; its weights may have to be fetched first."""
    models.chosen(model, core_of(request).settings.options.model)
    return _described(model)


def _described(name: str) -> Model:
    return Model(id=name, created=models.CREATED, owned_by="openai")


async def _answer(request: Request, form: type[TranslationForm]) -> Response:
    core = core_of(request)
    async with AsyncExitStack() as stack:
        recording = await stack.enter_async_context(_spooled(core, declared(request.headers)))
        async with request.app.state.turns.taken():
            wanted = await _receive(request, recording, form)
        waiting = Waiting(recording.name, recording.filename or "")
        await run_in_threadpool(core.listen, recording, wanted.options, waiting)
        if not wanted.stream:
            return answers.whole(await _unless_gone(request, waiting.whole()), wanted)
        events = _events(waiting)
        first = await _unless_gone(
            request, anext(events)
        )  # before it a failure still has a status of its own
        return _Stream(first, events, stack.pop_all())


@asynccontextmanager
async def _spooled(core: Core, coming: int) -> AsyncIterator[Recording]:
    """Lend a recording that is to come; whatever happens, nothing of it stays."""
    recording = await run_in_threadpool(core.receive, coming)
    try:
        yield recording
    finally:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(core.spool.release, recording)


async def _receive(request: Request, recording: Recording, form: type[TranslationForm]) -> Asked:
    """Store the body's file and return what its fields ask for."""
    body = Multipart(request.headers.get("content-type", ""), recording, files="file")
    async for chunk in request.stream():
        await run_in_threadpool(body.feed, chunk)
    body.close()
    if recording.filename is None:
        raise FieldError("file: it is missing; send the recording as a file of this name", "file")
    return asked(form, body.fields, core_of(request).settings.options.model)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of the work. Raises ClientDisconnect once nobody waits for it any more."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return await working
    finally:
        working.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Stream(EventSourceResponse):
    """Tells pieces until all is told or the client has gone, then lets go of what it was lent."""

    def __init__(
        self, first: ServerSentEvent, rest: AsyncGenerator[ServerSentEvent], lent: AsyncExitStack
    ) -> None:
        super().__init__(_all(first, rest), sep="\n")
        self._lent = lent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._lent:
            await super().__call__(scope, receive, send)


async def _all(
    first: ServerSentEvent, rest: AsyncGenerator[ServerSentEvent]
) -> AsyncIterator[ServerSentEvent]:
    """Yield the events; a failure amid them is told as the last one, as OpenAI's clients expect it."""
    yield first
    try:
        async with aclosing(rest):
            async for event in rest:
                yield event
    except PipelineError as error:
        yield _event(error_body(503, str(error), code=error.code))


async def _events(waiting: Waiting) -> AsyncGenerator[ServerSentEvent]:
    pieces = Pieces()
    async for news in waiting.news():
        if isinstance(news, Heard):
            text = answers.text_of(news)
            for piece in pieces.rest(text):
                yield _delta(piece)
            yield _event({"type": "transcript.text.done", "text": text, "usage": answers.usage(news)})
        else:
            for piece in pieces.take(news):
                yield _delta(piece)


def _delta(piece: str) -> ServerSentEvent:
    return _event({"type": "transcript.text.delta", "delta": piece})


def _event(data: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(json.dumps(data), sep="\n")
