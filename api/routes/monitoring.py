"""How tasks stand: one with its files, or many without."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.openapi import problems
from api.queries import FilesFilter, FilesQuery, TasksQuery
from api.requests import core_of
from api.schemas import TaskAnswer, TaskList
from pipeline.errors import NotFoundError
from pipeline.formats import rfc3339
from pipeline.queue.announcing import origin
from pipeline.queue.records import DeliveryState
from pipeline.status import task_answer
from pipeline.tasks import FAILURES, FileState

if TYPE_CHECKING:
    from pipeline.queue.records import Callback, Tally
    from pipeline.queue.store import TaskStore
    from pipeline.tasks import Task

TASKS_LIMIT = 100

router = APIRouter(prefix="/monitoring", tags=["monitoring"], responses=problems(400, 404, 503))


@router.get("", response_model=TaskList | TaskAnswer)
def tasks(request: Request, query: Annotated[TasksQuery, Query()]) -> Response:
    """List tasks, newest first; or answer for the one named by `task_id`."""
    core = core_of(request)
    if query.task_id is not None:
        wanted = FilesQuery(files=query.files or "all", limit=query.limit, cursor=query.cursor)
        return _json(_one(core.store, query.task_id, wanted))
    dirname = None if query.dirname is None else core.path(query.dirname)
    return _json(_many(core.store, query, dirname))


@router.get("/{task_id}", response_model=TaskAnswer)
def task(request: Request, task_id: str, query: Annotated[FilesQuery, Query()]) -> Response:
    """Answer how a task stands, with all its files or the page of them that was asked for."""
    return _json(_one(core_of(request).store, task_id, query))


def _one(store: TaskStore, task_id: str, query: FilesQuery) -> dict[str, Any]:
    found = store.overview(task_id, states=_states(query.files), limit=query.limit, cursor=query.cursor)
    if found is None:
        raise NotFoundError(f"There is no task {task_id[:64]!r}.")
    tally, files = found.tally, found.files
    answer: dict[str, Any] = task_answer(
        found.task, files=files.rows, counts=tally.counts, sums=tally.sums, now=time.time()
    )
    callbacks = [_callback(each) for each in found.callbacks]
    return answer | {"callbacks": callbacks, "next_cursor": files.next_cursor}


def _callback(callback: Callback) -> dict[str, Any]:
    pending = callback.state is DeliveryState.PENDING
    return {
        "url": f"{origin(callback.url)}{urlsplit(callback.url).path}",
        "state": callback.state or "waiting",
        "attempts": callback.attempts or 0,
        "next_attempt_at": rfc3339(callback.next_at) if pending and callback.next_at else None,
        "last_error": callback.last_error,
    }


def _many(store: TaskStore, query: TasksQuery, dirname: bytes | None) -> dict[str, Any]:
    page, tallies = store.listed(
        states=query.status,
        dirname=dirname,
        updated_after=query.updated_after,
        limit=query.limit or TASKS_LIMIT,
        cursor=query.cursor,
    )
    now = time.time()
    answers = [_without_files(each, tallies[each.id], now) for each in page.rows]
    return {"tasks": answers, "next_cursor": page.next_cursor}


def _without_files(task: Task, tally: Tally, now: float) -> dict[str, Any]:
    return task_answer(task, files=None, counts=tally.counts, sums=tally.sums, now=now)


def _states(wanted: FilesFilter) -> frozenset[FileState]:
    if wanted == "all":
        return frozenset()
    return FAILURES if wanted == FileState.FAILED else frozenset({FileState(wanted)})


def _json(body: dict[str, Any]) -> Response:
    """Encode past pydantic, which takes seconds where a task has ten thousand files."""
    return Response(msgspec.json.encode(body), media_type="application/json")
