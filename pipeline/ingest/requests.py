"""What somebody asks for: POST and the command line. Answers with the task that does it, or did it."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import BadPathError, UnavailableError, UnreadableError
from pipeline.ingest import beneath, judge
from pipeline.ingest.folder_options import EXCLUDE, INCLUDE, FolderOptions
from pipeline.ingest.ignore import OUR_FOLDER, is_media
from pipeline.ingest.judge import Verdict
from pipeline.ingest.placing import FORCE, named_of, new_file, selects, unit
from pipeline.ingest.scan import Found, is_kept_out, is_readable, scan
from pipeline.options import TEXT_NAMES
from pipeline.queue.records import NewFile
from pipeline.tasks import OPEN, WAITING, FileState, MediaFile, Problem, Source, Task, TaskState, display

if TYPE_CHECKING:
    from pipeline.ingest.admission import Admission
    from pipeline.ingest.evidence import Evidence
    from pipeline.outputs import Written
    from pipeline.queue.store import TaskStore

Render = Callable[[bytes, Mapping[str, Any]], object]
NO_MEDIA = "no_media"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One validated request: a directory or media file below the workdir, and what was named."""

    path: bytes
    source: Source
    named: Mapping[str, Any]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    priority: int | None = None  # where none was named an active task keeps its own
    force: bool = False
    callback_url: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What the task keeps of it."""
        extra = {INCLUDE: list(self.include), EXCLUDE: list(self.exclude), FORCE: self.force}
        return {**self.named, **{name: value for name, value in extra.items() if value}}


@dataclass(slots=True)
class _Plan:
    new: list[Found] = field(default_factory=list)
    in_the_way: list[int] = field(default_factory=list)
    waiting: list[MediaFile] = field(default_factory=list)
    held: list[MediaFile] = field(default_factory=list)
    done: list[Found] = field(default_factory=list)


class Requests:
    """Turns requests into tasks; `admission` keeps two from adding the same files with different options."""

    def __init__(
        self,
        store: TaskStore,
        root: bytes,
        evidence: Evidence,
        admission: Admission,
        render: Render | None,
    ) -> None:
        self._store = store
        self._root = root
        self._evidence = evidence
        self._admission = admission
        self._render = render

    def submit(self, request: Request) -> Task:
        """Return the request's task: the active one, the one that did it all, or a new one."""
        folders = FolderOptions(self._root)
        found = [each for each in scan(self._root, request.path) if self._wants(request, each, folders)]
        written = {} if request.force else self._written(request.path, found)
        with self._admission.to(unit(found[0].path if found else request.path)):
            return self._admit(request, found, written) if found else self._without_media(request)

    def locate(self, dirname: str | bytes) -> bytes:
        """Return the path a request means. Raises BadPathError, NotFoundError."""
        path, found = beneath.resolve(self._root, beneath.clean(dirname))
        if path.partition(b"/")[0] == OUR_FOLDER:
            raise BadPathError(f"{display(path)} is the service's own; ask for a directory of recordings")
        if not stat.S_ISDIR(found.st_mode) and not is_media(path.rpartition(b"/")[2]):
            raise BadPathError(f"{display(path)} is neither a directory nor a media file by its name")
        return path

    def _wants(self, request: Request, found: Found, folders: FolderOptions) -> bool:
        """Tell whether a file is asked for; one that is asked for by its own name needs no whisper.toml's leave."""
        let_in = found.path == request.path or folders.lets_in(found.path)
        return let_in and selects(request.path, request.options, found.path)

    def _written(self, path: bytes, found: Sequence[Found]) -> dict[bytes, Written | None]:
        """Look for transcripts before anybody has to wait for it; of files that wait for a stage none is asked."""
        waiting = self._store.waiting(path)
        return {each.path: self._transcript(each) for each in found if each.path not in waiting}

    def _transcript(self, found: Found) -> Written | None:
        try:
            return self._evidence.written(found.path, found.fingerprint)
        except OSError as error:
            raise UnavailableError(f"the transcripts there cannot be read now: {error}") from error

    def _admit(self, request: Request, found: Sequence[Found], written: dict[bytes, Written | None]) -> Task:
        plan = self._plan(request, found, written)
        task = self._store.active_at([request.path]).get(request.path)
        if task is not None:
            task = self._store.change_task(
                task.id,
                options=request.options or None,
                priority=request.priority,
                callback_url=request.callback_url,
            )
            files = self._new_files(plan, named_of(task), task.priority)
            self._store.add_files(task.id, files, instead_of=plan.in_the_way)
        elif plan.new or self._is_around(request.path, plan.waiting):
            task = self._open(request, plan)
        else:
            task = self._answer(request, plan, written)
        self._render_again(request, plan)
        return self._store.task(task.id) or task

    def _plan(self, request: Request, found: Sequence[Found], written: dict[bytes, Written | None]) -> _Plan:
        rows = self._store.known(request.path)
        plan = _Plan()
        for each in found:
            standing = rows.get(each.path, ())
            open_rows = [row for row in standing if row.state in OPEN]
            if each.path not in written and not open_rows and not request.force:
                written[each.path] = self._transcript(each)  # it waited a moment ago
            verdict = judge.asked(
                each.fingerprint,
                standing,
                named=request.named,
                written=written.get(each.path),
                force=request.force,
            )
            plan.waiting += [row for row in open_rows if row.state in WAITING]
            plan.held += [row for row in open_rows if row.state not in WAITING]
            if verdict is Verdict.NEW or self._waits_for_less(request, open_rows):
                plan.new.append(each)
                plan.in_the_way += judge.in_the_way(standing, each.fingerprint)
            elif not open_rows:
                plan.done.append(each)
        return plan

    def _waits_for_less(self, request: Request, open_rows: Sequence[MediaFile]) -> bool:
        """Tell whether a file waits in a task inside the directory asked for, and not for what is named now."""
        waiting = [row for row in open_rows if row.state in WAITING]
        if not waiting or any(judge.is_what_they_named(row, request.named) for row in waiting):
            return False
        dirnames = [task.dirname for row in waiting if (task := self._store.task(row.task_id))]
        return all(each != request.path and beneath.is_below(each, request.path) for each in dirnames)

    def _is_around(self, path: bytes, waiting: Sequence[MediaFile]) -> bool:
        """Tell whether files wait in tasks of directories around this one (those of tasks inside it stay there)."""
        tasks = [self._store.task(task_id) for task_id in {row.task_id for row in waiting}]
        return any(task is not None and beneath.is_below(path, task.dirname) for task in tasks)

    def _open(self, request: Request, plan: _Plan) -> Task:
        task, _ = self._store.open_task(
            request.path,
            request.source,
            request.options,
            priority=request.priority or 0,
            callback_url=request.callback_url,
            files=self._new_files(plan, request.named, request.priority or 0),
            instead_of=plan.in_the_way,
            along=self._is_around(request.path, plan.waiting),
        )
        return task

    def _new_files(self, plan: _Plan, named: Mapping[str, Any], priority: int) -> list[NewFile]:
        folders = FolderOptions(self._root)
        return [new_file(each, named, folders, priority) for each in plan.new]

    def _answer(self, request: Request, plan: _Plan, written: dict[bytes, Written | None]) -> Task:
        """Return the task that does or did it; where the queue remembers none, one that says it was done before."""
        at_it = [self._store.task(row.task_id) for row in (*plan.waiting, *plan.held)]
        last = self._store.last_task(request.path)
        if last is not None and last.state is not TaskState.COMPLETED:
            last = None
        for task in (*at_it, last, self._store.task_of(request.path)):
            if task is not None:
                self._store.call_back(task.id, request.callback_url)
                return task
        return self._all_skipped(request, plan.done, written)

    def _all_skipped(
        self, request: Request, done: Sequence[Found], written: dict[bytes, Written | None]
    ) -> Task:
        files = [_skipped(each, made) for each in done if (made := written[each.path])]
        task, _ = self._store.open_task(
            request.path, request.source, request.options, callback_url=request.callback_url, files=files
        )
        return self._store.end_task(task.id)

    def _render_again(self, request: Request, plan: _Plan) -> None:
        if self._render and any(name not in TEXT_NAMES for name in request.named):
            for each in plan.done:
                self._render(each.path, request.named)

    def _without_media(self, request: Request) -> Task:
        last, problem = self._store.last_task(request.path), self._no_media(request)
        if last is not None and last.error is not None and last.error.code == problem.code:
            return last
        task, _ = self._store.open_task(
            request.path,
            request.source,
            request.options,
            callback_url=request.callback_url,
            error=problem,
        )
        return task

    def _no_media(self, request: Request) -> Problem:
        where = display(request.path)
        if not is_readable(self._root, request.path):
            message = (
                f"{where} cannot be read; give the service's user access (chmod), it is then found by itself."
            )
            return Problem(code=UnreadableError.code, message=message)
        if is_kept_out(self._root, request.path):
            message = f"{where} is kept out by a .nowhisper file or an ignored name on its way."
        elif request.include or request.exclude or any(scan(self._root, request.path)):
            message = f"{where} holds no audio or video file that include and exclude let in."
        else:
            message = (
                f"{where} holds no audio or video file (known by extension); copy some there and ask again."
            )
        return Problem(code=NO_MEDIA, message=message)


def _skipped(found: Found, written: Written) -> NewFile:
    return NewFile(
        path=found.path,
        fingerprint=found.fingerprint,
        state=FileState.SKIPPED,
        options={},
        outputs=written.outputs,
        warnings=written.warnings,
        duration=written.duration,
        language=written.language,
        sha256=written.sha256,
    )
