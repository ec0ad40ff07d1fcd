"""`transcribe PATH…`: one shot over the same queue, relay and stage; or handed to the service that owns the workdir."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from api.board import Board
from api.flags import absolute
from api.names import located
from api.reach import Remote, find_service
from api.service import Core
from api.stages import devices
from pipeline.errors import EnvironmentUnusableError, UsageError
from pipeline.ingest.scan import scan, units
from pipeline.ingest.writers import ignore_lease_signals
from pipeline.logs import one_line
from pipeline.options import POST_NAMES
from pipeline.relay.wording import ENGLISH, reason
from pipeline.settings import on_a_disk, prepare_output_dir, queue_place
from pipeline.stage.decode.ffmpeg import ffmpeg_binary
from pipeline.status import task_answer
from pipeline.tasks import FAILURES, OPEN, Source, TaskState, display

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.settings import Settings

LOOK_S = 0.25
ENDED = frozenset(TaskState) - {TaskState.PENDING, TaskState.RUNNING}
INTERRUPTED = 130  # as shells say of SIGINT


class Follows(Protocol):
    """Where the tasks of this call are followed: a service, or our own core."""

    parting: str  # what becomes of the work after Ctrl-C

    def submit(self, dirname: bytes, named: Mapping[str, Any]) -> str:
        """Take a path in and return its task's id."""
        ...

    def answer(self, task_id: str) -> dict[str, Any]:
        """Return the monitoring answer, without files."""
        ...

    def failures(self, task_id: str) -> Iterator[dict[str, Any]]:
        """Yield the files that failed."""
        ...

    def trouble(self) -> str | None:
        """Return why no work can be done at all, if so."""
        ...


def transcribe(settings: Settings, paths: Sequence[Path], named: Mapping[str, Any]) -> int:
    """Transcribe files and directories; return 0 if all is done, 1 if anything failed, naming it."""
    workdir = settings.workdir
    wanted = [piece for path in paths for piece in _pieces(located(absolute(path), workdir), workdir)]
    inside = all(path.is_relative_to(settings.workdir) for path in wanted)
    service = find_service(queue_place(settings).folder) if inside and settings.workdir.exists() else None
    if service:
        _refuse_what_the_service_decides(service, named)
        return _interruptible(_Service(service), wanted, settings.workdir, named)
    ffmpeg_binary()
    ignore_lease_signals()
    if settings.output_dir is not None:
        prepare_output_dir(settings.output_dir)
    own = settings if inside else _elsewhere(settings, wanted)
    core = Core(own, devices(own), unattended=False)
    core.store.only = set()
    core.start()
    try:
        return _interruptible(_Own(core), wanted, own.workdir, named)
    finally:
        core.stop()


def _pieces(path: Path, workdir: Path) -> list[Path]:
    """Return what a path given by hand stands for: the workdir itself is each of its units that holds media."""
    try:
        path.stat()
    except OSError as error:
        raise UsageError(_unseen(path, error)) from error
    if path != workdir:
        return [path]
    root = os.fsencode(path)
    return [path / os.fsdecode(unit) for unit in units(root) if any(scan(root, unit))] or [path]


def _unseen(path: Path, error: OSError) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return f"{path} does not exist"
    return f"{path} cannot be looked at: {error.strerror}"


def _refuse_what_the_service_decides(service: Remote, named: Mapping[str, Any]) -> None:
    """Raise UsageError for options that are told to a service at its start, not with a request."""
    others = [f"--{name}" for name in named if name not in POST_NAMES]
    if others:
        raise UsageError(
            f"{', '.join(others)}: the service that runs on this workdir ({service.url}) was told so at its start; "
            "leave it out here, start the service with it, or stop the service first"
        )


def _elsewhere(settings: Settings, paths: Sequence[Path]) -> Settings:
    """Return settings whose workdir is the nearest folder around all paths, with the queue in the state directory.

    A server's queue is the workdir's alone: paths in it are relative to that.
    """
    root = Path(os.path.commonpath([path if path.is_dir() else path.parent for path in paths]))
    if any(path == root for path in paths) and root.parent != root:
        root = root.parent  # a directory given by name is a task of its own, subtree and all
    told = settings.database_url
    elsewhere = replace(settings, workdir=root, database_url=told if told and on_a_disk(told) else None)
    return replace(elsewhere, database_url=queue_place(elsewhere, inside=False).url)


class _Service:
    parting = "interrupted: the service goes on with it; cancel it with `cancel PATH`"

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def submit(self, dirname: bytes, named: Mapping[str, Any]) -> str:
        body = {"dirname": display(dirname), **named}
        task_id: str = self._remote.ask("POST", "/transcription", body)["task_id"]
        return task_id

    def answer(self, task_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._remote.ask("GET", f"/monitoring/{task_id}?limit=1")
        return answer

    def failures(self, task_id: str) -> Iterator[dict[str, Any]]:
        yield from self._remote.ask("GET", f"/monitoring/{task_id}?files=failed")["files"]

    def trouble(self) -> str | None:
        return None


class _Own:
    parting = "interrupted: what is finished is kept; run the same again to go on"

    def __init__(self, core: Core) -> None:
        self._core = core

    def submit(self, dirname: bytes, named: Mapping[str, Any]) -> str:
        """Let nothing else be begun: what an earlier call or a service left has a place and options of its own.

        Files below this directory that another task holds do begin: this one waits for them.
        """
        task, store = self._core.submit(dirname, named, source=Source.CLI), self._core.store
        rows = (row for rows in store.known(task.dirname).values() for row in rows)
        holders = {row.task_id for row in rows if row.state in OPEN}
        store.only = {task.id} | holders | (store.only or set())  # a new set: the relay reads the old one
        return task.id

    def answer(self, task_id: str) -> dict[str, Any]:
        return self._view(task_id, None)

    def failures(self, task_id: str) -> Iterator[dict[str, Any]]:
        files = self._core.store.files(task_id, states=FAILURES).rows
        yield from self._view(task_id, files)["files"]

    def trouble(self) -> str | None:
        """Return why no work can be done at all: the queue is another's, or the only stage has given up."""
        if self._core.database.lost:
            return str(self._core.database.lost)
        stages = self._core.dispatch.stages
        failed = [stage for stage in stages if stage.phase == "failed"]
        return failed[0].detail if stages and len(failed) == len(stages) else None

    def _view(self, task_id: str, files: Any) -> dict[str, Any]:
        store = self._core.store
        task = store.task(task_id)
        assert task is not None  # noqa: S101 - we made it
        tally = store.tallies([task_id])[task_id]
        return task_answer(task, files=files, counts=tally.counts, sums=tally.sums, now=time.time())


def _interruptible(there: Follows, paths: Sequence[Path], root: Path, named: Mapping[str, Any]) -> int:
    try:
        return _follow(there, paths, root, named)
    except KeyboardInterrupt:
        print(there.parting, file=sys.stderr)
        return INTERRUPTED


def _follow(there: Follows, paths: Sequence[Path], root: Path, named: Mapping[str, Any]) -> int:
    tasks = {there.submit(os.fsencode(path.relative_to(root)) or b".", named): path for path in paths}
    names = {task_id: one_line(display(os.fsencode(path.name))) for task_id, path in tasks.items()}
    with Board(names) as board:
        while True:
            answers = {task_id: there.answer(task_id) for task_id in tasks}
            board.show(answers)
            if all(answer["task_status"] in ENDED for answer in answers.values()):
                break
            if trouble := there.trouble():
                raise EnvironmentUnusableError(trouble)
            time.sleep(LOOK_S)
    wrong = [
        word for task_id, path in tasks.items() for word in _complaints(there, answers[task_id], path, root)
    ]
    for each in wrong:
        print(one_line(each), file=sys.stderr)
    return 1 if wrong else 0


def _complaints(there: Follows, answer: Mapping[str, Any], path: Path, root: Path) -> Iterator[str]:
    """Yield what went wrong below this path; a task that did more than was asked for now may have failed elsewhere."""
    if answer["task_status"] == TaskState.CANCELLED:
        yield f"{answer['dirname']}: cancelled"
    elif answer["error"]:
        yield str(answer["error"]["message"])
    for file in there.failures(answer["task_id"]):
        source = root / file["path"]
        if source.is_relative_to(path) and (os.path.lexists(source) or "\\x" in file["path"]):
            words = reason(file["error"], ENGLISH)
            yield words if file["path"] in words else f"{file['path']}: {words}"
