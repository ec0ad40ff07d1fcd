"""Files that appear whole or not at all: written under a hidden name, flushed to the disk, then put in place.

Every name is relative to the descriptor of a directory that was opened part by part, following no link.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipeline import outputs
from pipeline.descent import DIRECTORY
from pipeline.outputs import TEMPORARY_SUFFIX, split, temporary_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})  # FAT, exFAT, some of FUSE
_STALE_S = 600.0  # a temporary file this much older than the newest is nobody's any more
_OURS = re.compile(rb"\..*\.[0-9a-z]{16}" + re.escape(TEMPORARY_SUFFIX), re.DOTALL)


@contextmanager
def opened_directory(base: Path, relative: bytes, *, like: Path | None = None) -> Iterator[int]:
    """Open a directory below `base` as `outputs.opened_directory` does.

    With `like`, a tree of the same shape, what is missing is created first, with the modes of that tree's directories.
    """
    if like is not None:
        base.mkdir(parents=True, exist_ok=True)
        _create_all(base, relative, like)
    with outputs.opened_directory(os.fsencode(base), relative) as directory:
        yield directory


def write_temporary(
    directory: int, name: bytes, token: str, body: bytes, like: os.stat_result | None
) -> bytes:
    """Write `body` under a hidden name, readable by whoever may read `like`, and flush it; return that name."""
    temporary = temporary_name(name, token)
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=directory)
    fd = os.open(temporary, _NEW, 0o600, dir_fd=directory)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(body)
            file.flush()
            _share(fd, like)
            os.fsync(fd)
    except OSError:
        remove(directory, [temporary])
        raise
    return temporary


def put_new(directory: int, temporary: bytes, name: bytes) -> None:
    """Give a temporary file its name, unless somebody has it: then FileExistsError.

    Where the file system knows no hard links, a name that appears within microseconds could be lost.
    """
    try:
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_new(directory, temporary, name)
    else:
        remove(directory, [temporary])  # if it stays, the output is in place all the same


def put_over(directory: int, temporary: bytes, name: bytes) -> None:
    """Give a temporary file its name, in place of the file that has it."""
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def remove(directory: int, names: Iterable[bytes]) -> None:
    """Remove files as far as that is possible."""
    for name in names:
        with suppress(OSError):
            os.unlink(name, dir_fd=directory)


def clean_temporaries(directory: int, now: float) -> None:
    """Remove the temporary files that a crash left: ours by name, and old (`now` is that file system's clock)."""
    for name in os.listdir(directory):
        raw = os.fsencode(name)
        if _OURS.fullmatch(raw) and _is_stale(directory, raw, now):
            remove(directory, [raw])


def _is_stale(directory: int, name: bytes, now: float) -> bool:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and now - found.st_mtime > _STALE_S


def _create_all(base: Path, relative: bytes, like: Path) -> None:
    parts = outputs.real_parts(os.fsencode(base), relative)
    for depth, part in enumerate(parts):
        with outputs.opened_directory(os.fsencode(base), b"/".join(parts[:depth])) as parent:
            _create(part, parent, b"/".join((os.fsencode(like), *parts[: depth + 1])))


def _create(part: bytes, parent: int, like: bytes) -> None:
    with suppress(FileExistsError):
        os.mkdir(part, dir_fd=parent)
        try:
            found = os.stat(like)  # noqa: PTH116 - bytes
        except OSError:
            return
        fd = os.open(part, DIRECTORY, dir_fd=parent)
        try:
            _own(fd, found)
            os.fchmod(fd, stat.S_IMODE(found.st_mode) & 0o777 | 0o700)
        finally:
            os.close(fd)


def _share(fd: int, like: os.stat_result | None) -> None:
    """Let everybody read a file who may read `like`."""
    if like is None:
        os.fchmod(fd, 0o644)
        return
    _own(fd, like)
    os.fchmod(fd, like.st_mode & 0o666 | 0o600)


def _own(fd: int, like: os.stat_result) -> None:
    """Give a file the owner and group of another, as far as we may."""
    with suppress(OSError):
        os.fchown(fd, -1, like.st_gid)
    with suppress(OSError):
        os.fchown(fd, like.st_uid, -1)


def _rename_new(directory: int, temporary: bytes, name: bytes) -> None:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    else:
        raise FileExistsError(errno.EEXIST, "somebody has this name", name)


def stat_source(root: Path, path: bytes) -> os.stat_result | None:
    """Return the stat of a source below `root`, None where it is gone."""
    folder, name = split(path)
    try:
        with opened_directory(root, folder) as directory:
            return os.stat(name, dir_fd=directory)
    except OSError:
        return None
