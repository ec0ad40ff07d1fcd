"""The file of keys: read whole, replaced whole, one change at a time whoever makes it."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from api.keys.key import Key
from pipeline.durable import flush
from pipeline.errors import KeysFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Keys = tuple[Key, ...]
Stamp = tuple[int, int, int, int]


class _Contents(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[1]
    keys: Keys


def read(path: Path) -> Keys:
    """Return the keys of a file. Raises KeysFileError where it cannot be read, is none, or is anybody's to change."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise KeysFileError(f"{path} can be changed by others than its owner; chmod 600 it")
            return msgspec.json.decode(file.read(), type=_Contents).keys
    except OSError as error:
        raise KeysFileError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeysFileError(f"{path} is no file of keys ({error})") from error


def stamp(path: Path) -> Stamp | None:
    """Return what differs when a file was replaced or written to; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def create(path: Path) -> None:
    """Make a file without keys, unless there is one already."""
    with suppress(FileExistsError), _temporary(path, ()) as temporary:
        os.link(temporary, path)


def change(path: Path, edit: Callable[[Keys], Keys]) -> None:
    """Replace the keys of a file by what `edit` makes of them; nobody else changes them meanwhile."""
    path = path.resolve()  # a link to it stays a link
    try:
        with _locked(path), _temporary(path, edit(read(path))) as temporary:
            temporary.replace(path)
    except OSError as error:
        raise KeysFileError(f"{path} cannot be changed ({error.strerror})") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file that has this name; one replaced while we waited is nobody's any more."""
    while True:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield
                return


@contextmanager
def _temporary(path: Path, keys: Keys) -> Iterator[Path]:
    """Write keys beside a file, flushed and readable by its owner alone; what is done with them is flushed too."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(_Contents(1, keys))) + b"\n")
            _keep_owner(file.fileno(), path)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _keep_owner(fd: int, path: Path) -> None:
    """Leave a file that root changes to the service's user."""
    with suppress(FileNotFoundError, PermissionError):
        owner = path.stat()
        os.fchown(fd, owner.st_uid, owner.st_gid)
