"""A directory's media files, by stat alone: nothing is opened but directories, no link to a directory is followed."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.ingest import beneath
from pipeline.ingest.beneath import ROOT, Look
from pipeline.ingest.ignore import KEEP_OUT, is_ignored, is_media
from pipeline.tasks import Fingerprint, display

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """One media file (by its name) as a scan saw it; `outside` when it is a link that leaves the workdir."""

    path: bytes
    look: Look
    outside: bool = False

    @property
    def fingerprint(self) -> Fingerprint:
        """What the queue remembers of it."""
        return self.look.fingerprint


def scan(root: bytes, path: bytes) -> Iterator[Found]:
    """Yield the media files of a directory and its subtree, or the file itself; of the root (`.`) its loose files.

    Nothing comes from below a `.nowhisper` or an ignored name, however deep the scan begins. A directory that cannot
    be read is logged and left out; one that is gone has no files.
    """
    if is_kept_out(root, path):
        return
    try:
        with beneath.opened_directory(root, path) as directory:
            yield from _walk(root, directory, b"" if path == ROOT else path + b"/", deeper=path != ROOT)
    except NotADirectoryError:
        yield from _single(root, path)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("%s: the directory cannot be opened: %s", display(path), error.strerror)


def top_directories(root: bytes) -> list[bytes]:
    """Return the directories directly below the root: the units that watcher and rescan make tasks of."""
    if is_kept_out(root, ROOT):
        return []
    with os.scandir(root) as entries:
        return [
            each.name for each in entries if not is_ignored(each.name) and each.is_dir(follow_symlinks=False)
        ]


def units(root: bytes) -> list[bytes]:
    """Return all that the workdir stands for: its loose files (`.`), and each directory directly below it."""
    return [ROOT, *top_directories(root)]


def is_kept_out(root: bytes, path: bytes) -> bool:
    """Tell whether a name on the way is ignored, or a `.nowhisper` lies on it."""
    parts = [] if path == ROOT else path.split(b"/")
    if any(is_ignored(part) for part in parts):
        return True
    places = [b"/".join((root, *parts[:depth], KEEP_OUT)) for depth in range(len(parts) + 1)]
    return any(os.path.lexists(place) for place in places)


def is_readable(root: bytes, path: bytes) -> bool:
    """Tell whether a directory can be listed; what is none, or gone, is not asked about."""
    try:
        with beneath.opened_directory(root, path) as directory, os.scandir(directory):
            return True
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))


def _single(root: bytes, path: bytes) -> Iterator[Found]:
    name = path.rpartition(b"/")[2]
    if not is_media(name):
        return
    try:
        with beneath.opened_directory(root, beneath.parent(path)) as directory:
            found = _found(root, directory, name, path)
    except OSError:  # what led here changed while we looked
        return
    if found is not None:
        yield found


def _walk(root: bytes, directory: int, prefix: bytes, *, deeper: bool) -> Iterator[Found]:
    entries = _entries(directory, prefix)
    if any(name == KEEP_OUT for name, _ in entries):
        return
    for name, entry in entries:
        if is_ignored(name):
            continue
        if deeper and entry.is_dir(follow_symlinks=False):
            yield from _below(root, directory, name, prefix)
        elif is_media(name) and (found := _found(root, directory, name, prefix + name)):
            yield found


def _entries(directory: int, prefix: bytes) -> list[tuple[bytes, os.DirEntry[str]]]:
    """List an open directory, by name: the order of a scan is the order of the work."""
    try:
        with os.scandir(directory) as entries:
            return sorted(((os.fsencode(each.name), each) for each in entries), key=lambda pair: pair[0])
    except OSError as error:
        logger.warning("%s: the directory cannot be listed: %s", display(prefix) or ".", error.strerror)
        return []


def _below(root: bytes, directory: int, name: bytes, prefix: bytes) -> Iterator[Found]:
    try:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError):
        return  # it went, or became something else, while we looked
    except OSError as error:
        logger.warning("%s: the directory cannot be opened: %s", display(prefix + name), error.strerror)
        return
    try:
        yield from _walk(root, inner, prefix + name + b"/", deeper=True)
    finally:
        os.close(inner)


def _found(root: bytes, directory: int, name: bytes, path: bytes) -> Found | None:
    try:
        seen = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(seen.st_mode):
            return _linked(root, directory, name, path, seen)
    except OSError:  # gone, or a link to nothing
        return None
    return Found(path, Look.of(seen)) if stat.S_ISREG(seen.st_mode) else None


def _linked(root: bytes, directory: int, name: bytes, path: bytes, link: os.stat_result) -> Found | None:
    if not beneath.stays_inside(root, path):
        return Found(path, Look.of(link), outside=True)
    target = os.stat(name, dir_fd=directory)
    return Found(path, Look.of(target)) if stat.S_ISREG(target.st_mode) else None
