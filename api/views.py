"""`status`, `retry`, `cancel` and `forget`: what the API says and does, as a table, the service running or not."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from api.forgetting import forget as erase
from api.names import located
from api.reach import find_service
from api.tables import print_table
from pipeline import VERSION
from pipeline.errors import NotFoundError
from pipeline.queue.database import open_database
from pipeline.queue.store import TaskStore
from pipeline.relay.commit import Committer
from pipeline.relay.wording import ENGLISH, reason
from pipeline.settings import QUEUE, queue_place
from pipeline.status import file_answer, task_answer
from pipeline.tasks import FAILURES, TaskState, display

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.settings import Settings
    from pipeline.tasks import MediaFile, Task

LISTED = 50


@contextmanager
def _store(settings: Settings, *, readonly: bool) -> Iterator[TaskStore]:
    if settings.database_url is None and not settings.workdir.exists():
        raise NotFoundError(f"there is no {settings.workdir}; is this the right --workdir?")
    place = queue_place(settings)
    if settings.database_url is None and not (place.folder / QUEUE).exists():
        raise NotFoundError(f"there is no queue at {place.folder} yet; is this the right --workdir?")
    database = open_database(place.url, readonly=readonly)
    try:
        yield TaskStore(database)
    finally:
        database.close()


def show_status(settings: Settings, what: str | None, *, only_failed: bool) -> None:
    """Print the newest tasks; or one task with its files; or, with only_failed, just what failed and why."""
    with _store(settings, readonly=True) as store:
        if what:
            _show_task(store, _find(store, settings, what), only_failed=only_failed)
        elif only_failed:
            failed = store.in_state(*FAILURES)
            _print_files([each for each in failed if _is_last_word(store, each)])
        else:
            _list_tasks(store)


def _show_task(store: TaskStore, task: Task, *, only_failed: bool) -> None:
    if not only_failed:
        _print_tasks(store, [task])
        click.echo()
    _print_files(store.files(task.id, states=FAILURES if only_failed else ()).rows)


def _is_last_word(store: TaskStore, file: MediaFile) -> bool:
    """Tell whether nothing became of a file since: no later version of it, no later request."""
    return max(each.id for each in store.known(file.path)[file.path]) == file.id


def _list_tasks(store: TaskStore) -> None:
    page = store.tasks(limit=LISTED)
    _print_tasks(store, page.rows)
    if page.next_cursor:
        click.echo(f"These are the newest {LISTED}; name a directory or task to see an older one.", err=True)


def act(settings: Settings, verb: str, what: str) -> None:
    """Retry or cancel a task, through the service if one runs, else in the database."""
    with _store(settings, readonly=True) as store:
        task = _find(store, settings, what)
    service = find_service(queue_place(settings).folder)
    if service:
        method, path = ("POST", "/retry") if verb == "retry" else ("DELETE", "")
        service.ask(method, f"/transcription/{task.id}{path}")
    else:
        with _store(settings, readonly=False) as store:
            store.retry(task.id) if verb == "retry" else store.cancel(task.id)
    again = "nothing of it has failed" if task.state is TaskState.COMPLETED else "will be tried again"
    print(f"{display(task.dirname)}: {again if verb == 'retry' else 'cancelled'}")


def forget(settings: Settings, paths: Sequence[Path]) -> None:
    """Erase outputs, rows and checkpoints of sources below the workdir, through the service if one runs."""
    places = [_inside(settings, path) for path in paths]
    service = find_service(queue_place(settings).folder)
    if service:
        for place in places:
            _say_forgotten(place, service.ask("POST", "/forget", {"path": display(place)})["erased"])
        return
    committer = Committer(settings.workdir, settings.output_dir, VERSION)
    with _store(settings, readonly=False) as store:
        for place in places:
            _say_forgotten(place, erase(store, committer, settings.workdir, place))


def _say_forgotten(place: bytes, erased: Sequence[object]) -> None:
    print(
        f"{display(place)}: forgotten, {len(erased)} files erased; a recording that stays here is new again"
    )


def _find(store: TaskStore, settings: Settings, what: str) -> Task:
    """Return the task of this id, or the newest of this path."""
    inside = _inside(settings, Path(what)) if not store.task(what) else b""
    task = store.task(what) or store.last_task(inside) or store.task_of(inside)
    if task is None:
        raise NotFoundError(f"no task {what!r}: give a task id, or a path below {settings.workdir}")
    return task


def _inside(settings: Settings, path: Path) -> bytes:
    """Return a path as the queue names it: given from here, or from the workdir."""
    for candidate in (path.absolute(), settings.workdir / path):
        place = located(candidate, settings.workdir)
        if place.is_relative_to(settings.workdir) and (
            os.path.lexists(place) or candidate.is_relative_to(settings.workdir)
        ):
            return os.fsencode(place.relative_to(settings.workdir))
    raise NotFoundError(f"{path} is not below {settings.workdir}")


def _print_tasks(store: TaskStore, tasks: Sequence[Task]) -> None:
    tallies = store.tallies([task.id for task in tasks])
    rows = []
    for task in tasks:
        tally = tallies[task.id]
        answer = task_answer(task, files=None, counts=tally.counts, sums=tally.sums, now=time.time())
        files = " ".join(f"{number} {state}" for state, number in answer["counts"].items() if number)
        why = reason(answer["error"], ENGLISH) if answer["error"] else ""
        rows.append((task.id, answer["dirname"], str(task.state), f"{answer['progress']:.0%}", files, why))
    print_table("task", "directory", "status", "progress", "files", "why", rows=rows)


def _print_files(files: Sequence[MediaFile]) -> None:
    rows = []
    for answer in map(file_answer, files):
        why = reason(answer["error"], ENGLISH) if answer["error"] else "; ".join(answer["warnings"])
        rows.append((answer["path"], answer["status"], f"{answer['progress']:.0%}", why))
    print_table("file", "status", "progress", "why", rows=rows)
