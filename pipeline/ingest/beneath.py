"""Paths below the workdir: said by others, never trusted, never followed out of it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pipeline.descent import descended
from pipeline.errors import BadPathError, NotFoundError
from pipeline.tasks import Fingerprint, display

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = b"."
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not hold us up
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


class Look(NamedTuple):
    """What one stat said of a file; any later write changes one of these."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Look:
        """Take it from a stat."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    @property
    def fingerprint(self) -> Fingerprint:
        """What the queue remembers of it."""
        return Fingerprint(self.size, self.mtime_ns)


def clean(dirname: str | bytes) -> bytes:
    """Return a path from outside as bytes relative to the workdir, without empty and '.' parts.

    Raises BadPathError for what is empty, absolute, or holds NUL or '..'.
    """
    try:
        raw = os.fsencode(dirname)
    except UnicodeEncodeError as error:  # a lone surrogate that stands for no byte
        raise BadPathError(f"{dirname!r} is no file name") from error
    parts = raw.split(b"/")
    if not raw or raw.startswith(b"/") or b"\0" in raw or b".." in parts:
        raise BadPathError
    return b"/".join(part for part in parts if part not in (b"", b".")) or ROOT


def resolve(root: bytes, path: bytes) -> tuple[bytes, os.stat_result]:
    """Return where a clean path really lies below the workdir, and its stat.

    Links that stay inside the workdir are followed: of a directory the target is meant, of a file the link itself.
    Raises BadPathError when a link leaves the workdir, NotFoundError when nothing is there.
    """
    try:
        inside = canonical(root, path)
        found = os.stat(join(root, inside))  # noqa: PTH116 - bytes paths
    except OSError as error:
        if error.errno in _ABSENT:
            raise NotFoundError(
                f"{display(path)}: no such directory or media file below the workdir"
            ) from error
        raise BadPathError(f"{display(path)}: {os.strerror(error.errno or 0)}") from error
    return inside, found


def canonical(root: bytes, path: bytes) -> bytes:
    """Return where a clean path really lies below the workdir, or would lie: links on its way are resolved.

    Raises BadPathError when one leaves the workdir.
    """
    if not stays_inside(root, path):
        raise BadPathError
    whole = join(root, path)
    real = os.path.realpath(whole) if os.path.isdir(whole) else _beside(whole)  # noqa: PTH112 - bytes paths
    inside = os.path.relpath(real, os.path.realpath(root))
    if inside.split(b"/")[0] == b"..":  # a link that was put there since
        raise BadPathError
    return inside


def join(root: bytes, path: bytes) -> bytes:
    """Return the absolute path."""
    return root if path == ROOT else root + b"/" + path


def parent(path: bytes) -> bytes:
    """Return the directory of a path; the workdir's is itself."""
    return path.rpartition(b"/")[0] or ROOT


def is_below(path: bytes, directory: bytes) -> bool:
    """Tell whether a path is a directory or lies in it; of the root only loose files do."""
    if directory == ROOT:
        return b"/" not in path
    return path == directory or path.startswith(directory + b"/")


def stays_inside(root: bytes, path: bytes) -> bool:
    """Tell whether a path still lies in the workdir when its links are followed."""
    real, base = os.path.realpath(join(root, path)), os.path.realpath(root)
    return real == base or real.startswith(base.rstrip(b"/") + b"/")


def look(root: bytes, path: bytes) -> Look | None:
    """Look at a file (through a link that stays inside); None when there is no regular file any more.

    Raises OSError when the file system cannot say.
    """
    try:
        found = os.stat(join(root, path))  # noqa: PTH116 - bytes paths
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    return Look.of(found) if stat.S_ISREG(found.st_mode) else None


@contextmanager
def opened(root: bytes, path: bytes) -> Iterator[int]:
    """Open a regular file below the workdir for reading, its links resolved once and then no more.

    Raises OSError; ELOOP when a link leaves the workdir or was put there meanwhile.
    """
    inside = os.path.relpath(os.path.realpath(join(root, path)), os.path.realpath(root))
    if inside.split(b"/")[0] == b"..":
        raise OSError(errno.ELOOP, "a link leaves the workdir", path)
    with opened_directory(root, parent(inside)) as directory:
        handle = os.open(inside.rpartition(b"/")[2], _FILE, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        yield handle
    finally:
        os.close(handle)


@contextmanager
def opened_directory(root: bytes, path: bytes) -> Iterator[int]:
    """Open a directory below the workdir, part by part, following no link. Raises OSError."""
    if b".." in path.split(b"/"):
        raise OSError(errno.ELOOP, "the path leaves the workdir", path)
    with descended(root, () if path == ROOT else path.split(b"/")) as directory:
        yield directory


def _beside(whole: bytes) -> bytes:
    """Return a file's path with its directory's links resolved, its own kept."""
    directory, _, name = whole.rpartition(b"/")
    return os.path.realpath(directory) + b"/" + name
