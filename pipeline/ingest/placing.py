"""Which task a file belongs to, and with which options it enters the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.descent import directories_above
from pipeline.errors import BadOptionsError
from pipeline.ingest import beneath
from pipeline.ingest.beneath import ROOT
from pipeline.ingest.folder_options import EXCLUDE, INCLUDE
from pipeline.ingest.ignore import as_globs, is_selected
from pipeline.options import NAMES
from pipeline.queue.records import NewFile
from pipeline.tasks import FileState, Problem, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.ingest.folder_options import FolderOptions
    from pipeline.ingest.scan import Found
    from pipeline.tasks import Fingerprint, MediaFile

FORCE = "force"  # kept in a task's options beside the named ones, as are INCLUDE and EXCLUDE


def named_of(task: Task) -> dict[str, Any]:
    """Return the options that were named for a task's files."""
    return {name: value for name, value in task.options.items() if name in NAMES}


def is_forced(task: Task | None) -> bool:
    """Tell whether a task does again what is done."""
    return task is not None and bool(task.options.get(FORCE))


def selects(dirname: bytes, options: Mapping[str, Any], path: bytes) -> bool:
    """Tell whether a task's `include` and `exclude` let a path below its directory in."""
    within = path if dirname in (ROOT, path) else path[len(dirname) + 1 :]
    return is_selected(within, as_globs(options.get(INCLUDE, ())), as_globs(options.get(EXCLUDE, ())))


def home(path: bytes, active: Mapping[bytes, Task]) -> bytes | None:
    """Return the dirname of the task a new file belongs to: the innermost active one around it, else its unit.

    None where its unit has an active task that does not take it: it waits until that has ended.
    """
    for dirname in around(path):
        if dirname in active and selects(dirname, active[dirname].options, path):
            return dirname
    return None if unit(path) in active else unit(path)


def unit(path: bytes) -> bytes:
    """Return what watcher and rescan make a task of: the directory below the root, or the root's loose files."""
    top, slash, _ = path.partition(b"/")
    return top if slash else ROOT


def with_inner(dirnames: Iterable[bytes]) -> frozenset[bytes]:
    """Return the directories in which another one of these lies; in the root only loose files do."""
    return frozenset(place for each in dirnames for place in around(each) if place != each)


def outermost(directories: Iterable[bytes]) -> list[bytes]:
    """Leave out directories that lie in another one of these."""
    kept: list[bytes] = []
    for directory in sorted(directories, key=lambda each: each.split(b"/")):
        if not kept or directory == ROOT or not directory.startswith(kept[-1] + b"/"):
            kept.append(directory)
    return kept


def new_file(found: Found, named: Mapping[str, Any], folders: FolderOptions, priority: int = 0) -> NewFile:
    """Return the row of a file: settling, or failed already where it cannot be done as it is."""
    if found.outside:
        message = "The link leaves the workdir; put the file itself there, or a link that stays inside."
        problem = Problem(code="outside_workdir", message=message)
        return _failed(found.path, found.fingerprint, named, problem)
    return _told(found.path, found.fingerprint, named, folders, FileState.SETTLING, priority)


def told_since(row: MediaFile, fingerprint: Fingerprint, folders: FolderOptions) -> NewFile | None:
    """Return what a waiting file is queued as instead, where a `whisper.toml` that came after it names more options.

    None where there is none. What was named before stays: by whom is not known any more.
    """
    new = _told(row.path, fingerprint, row.options, folders, FileState.QUEUED, row.priority)
    if new.error is None and (new.options, new.priority) == (row.options, row.priority):
        return None
    return new


def _told(  # noqa: PLR0913, PLR0917 - all of a row
    path: bytes,
    fingerprint: Fingerprint,
    named: Mapping[str, Any],
    folders: FolderOptions,
    state: FileState,
    priority: int,
) -> NewFile:
    try:
        options = {**folders.of(beneath.parent(path)), **named}
        priority = priority or folders.priority_of(beneath.parent(path))
    except BadOptionsError as error:
        return _failed(path, fingerprint, named, Problem(code=error.code, message=str(error)))
    return NewFile(path=path, fingerprint=fingerprint, state=state, options=options, priority=priority)


def _failed(path: bytes, fingerprint: Fingerprint, named: Mapping[str, Any], problem: Problem) -> NewFile:
    return NewFile(
        path=path, fingerprint=fingerprint, state=FileState.FAILED, options=dict(named), error=problem
    )


def around(path: bytes) -> Iterable[bytes]:
    """Yield a path and the directories around it, innermost first; the root holds loose files only."""
    yield path
    if unit(path) == ROOT:
        yield ROOT
    yield from directories_above(path)
