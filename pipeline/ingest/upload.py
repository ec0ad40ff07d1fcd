"""Uploads: a new directory below the workdir that appears whole or not at all.

Its files are written below `.whisper/uploads`, where nobody looks for work, and flushed to the disk; then one rename
gives the directory its name. What a crash leaves there is removed at the next start.
"""

from __future__ import annotations

import errno
import fcntl
import io
import logging
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from pipeline.descent import DIRECTORY, descended
from pipeline.errors import BadPathError, ConflictError, UnavailableError, UsageError
from pipeline.ingest import beneath
from pipeline.ingest.ignore import OUR_FOLDER, is_ignored, is_media
from pipeline.ingest.scan import is_kept_out
from pipeline.tasks import display

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.room import Room

logger = logging.getLogger(__name__)

PLACE = (OUR_FOLDER, b"uploads")
MAX_FILES = 10_000
MAX_DEPTH = 16  # a name of two thousand folders would cost more than its bytes
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_NOT_A_NAME = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.ELOOP})


class Uploads:
    """Begins uploads into one workdir; `is_open` False where nothing may be written into it."""

    def __init__(self, root: bytes, room: Room, *, is_open: bool) -> None:
        self._root = root
        self._room = room
        self._is_open = is_open

    def begin(self, coming: int = 0) -> Upload:
        """Begin an upload of about so many bytes. Raises ConflictError, UnavailableError."""
        if not self._is_open:
            raise ConflictError(
                "with --output_dir nothing is written into the workdir: copy the recordings there"
            )
        with _storing():
            self._room.require(self._root, coming)
            return Upload(self._root, self._room)

    def locate(self, dirname: str | bytes) -> bytes:
        """Return where a new directory of this name would lie. Raises BadPathError; ConflictError where one does."""
        path = beneath.canonical(self._root, beneath.clean(dirname))
        if path.count(b"/") >= MAX_DEPTH:
            raise BadPathError(f"{display(path)!r} lies more than {MAX_DEPTH} folders deep")
        if os.path.lexists(beneath.join(self._root, path)):
            raise _exists(path)
        if is_kept_out(self._root, path):
            raise BadPathError(
                f"{display(path)} would not be looked at: a name on its way is ignored, or holds a .nowhisper"
            )
        self._see_that_a_rename_reaches(beneath.parent(path))
        return path

    def sweep(self) -> None:
        """Remove what a crash left; what another process is at stays."""
        with suppress(OSError), descended(self._root, PLACE) as place:
            for name in os.listdir(place):  # noqa: PTH208 - a descriptor
                _sweep_one(place, os.fsencode(name))

    def _see_that_a_rename_reaches(self, directory: bytes) -> None:
        while directory != beneath.ROOT and not os.path.isdir(beneath.join(self._root, directory)):  # noqa: PTH112 - bytes paths
            directory = beneath.parent(directory)
        with _storing():
            there, here = os.stat(beneath.join(self._root, directory)), os.stat(self._root)  # noqa: PTH116 - bytes paths
        if there.st_dev != here.st_dev:
            raise ConflictError(
                f"{display(directory)} is another disk; uploads go to that of the workdir alone"
            )


class Upload:
    """One directory on its way in, hidden until it is put in its place; a `Sink` of a multipart body."""

    def __init__(self, root: bytes, room: Room) -> None:
        """Make the hidden directory, locked so that nobody sweeps it. Raises OSError."""
        self._root = root
        self._room = room
        self._name = secrets.token_hex(8).encode()
        self._file: IO[bytes] = io.BytesIO()  # until one is begun
        self._folders: set[tuple[bytes, ...]] = {()}
        self.files: list[bytes] = []
        with descended(root, PLACE, make=True) as place:
            os.mkdir(self._name, dir_fd=place)
            self._folder = os.open(self._name, DIRECTORY, dir_fd=place)
        _is_locked(self._folder)

    def begin(self, filename: bytes) -> None:
        """Begin a file. Raises UsageError for a name that is none, would be ignored or was there before."""
        if len(self.files) >= MAX_FILES:
            raise UsageError(f"more than {MAX_FILES} files; send them in several uploads")
        path = media_path(filename)
        *parts, name = path.split(b"/")
        try:
            with _storing(path), descended(self._folder, parts, make=True) as folder:
                self._file = os.fdopen(os.open(name, _NEW, 0o666, dir_fd=folder), "wb")
        except FileExistsError as error:
            raise UsageError(f"{display(path)!r} was sent twice") from error
        self._folders.update(tuple(parts[:depth]) for depth in range(1, len(parts) + 1))
        self.files.append(path)

    def write(self, data: bytes) -> None:
        """Write on. Raises UnavailableError where the disk has no room."""
        with _storing():
            self._room.require(self._folder)
            self._file.write(data)

    def end(self) -> None:
        """Flush the file to the disk."""
        with _storing():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def put(self, path: bytes) -> None:
        """Give the directory its name below the workdir. Raises ConflictError where something has it."""
        *parents, name = path.split(b"/")
        with _storing(path):
            _flush(self._folder, self._folders)
            with self._way(parents):
                self._rename(parents, name)
            _flush(self._root, [tuple(parents[:depth]) for depth in range(len(parents) + 1)])

    def discard(self) -> None:
        """Remove what is still hidden, and let go of it; after `put` nothing is."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError), descended(self._root, PLACE) as place:
            shutil.rmtree(self._name, ignore_errors=True, dir_fd=place)
        os.close(self._folder)

    @contextmanager
    def _way(self, parents: list[bytes]) -> Iterator[None]:
        """Make the directories that lead there; on a failure those that were made are removed."""
        depths = range(1, len(parents) + 1)
        missing = [d for d in depths if not os.path.lexists(b"/".join([self._root, *parents[:d]]))]
        try:
            with descended(self._root, parents, make=True):
                pass
            yield
        except OSError:
            for depth in reversed(missing):
                with suppress(OSError), descended(self._root, parents[: depth - 1]) as folder:
                    os.rmdir(parents[depth - 1], dir_fd=folder)
            raise

    def _rename(self, parents: list[bytes], name: bytes) -> None:
        """Take the name by mkdir, which two cannot, and put ours over that empty directory."""
        with descended(self._root, PLACE) as place, descended(self._root, parents) as parent:
            try:
                os.mkdir(name, dir_fd=parent)
                os.rename(self._name, name, src_dir_fd=place, dst_dir_fd=parent)
            except OSError as error:
                if error.errno in _TAKEN:
                    raise _exists(b"/".join([*parents, name])) from error
                with suppress(OSError):
                    os.rmdir(name, dir_fd=parent)
                raise


def media_path(filename: bytes) -> bytes:
    """Return a client's name for a file as a path below its directory; browsers send folders as `folder/name`.

    Raises UsageError, naming the file, for what is no such path, would be ignored or is no media.
    """
    shown = display(filename)
    try:
        path = beneath.clean(filename)
    except BadPathError as error:
        raise BadPathError(f"{shown!r} must be relative, without '..' or NUL") from error
    parts = path.split(b"/")
    if len(parts) > MAX_DEPTH:
        raise BadPathError(f"{shown!r} lies more than {MAX_DEPTH} folders deep")
    if b"\\" in path:
        raise BadPathError(f"{shown!r} holds a backslash; give '/' between folders")
    if any(is_ignored(part) for part in parts):
        raise UsageError(f"{shown!r} is hidden, unfinished or of a name that is ignored; leave it out")
    if not is_media(parts[-1]):
        raise UsageError(f"{shown!r} is no audio or video file by its extension; leave it out")
    return path


@contextmanager
def _storing(path: bytes | None = None) -> Iterator[None]:
    """Say of an error of the file system whose it is: that of a client's name, or the disk's."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        if path is not None and error.errno in _NOT_A_NAME:
            raise BadPathError(f"{display(path)!r} cannot be a name here: {reason}") from error
        raise UnavailableError(f"the upload cannot be stored: {reason}; nothing of it was kept") from error


def _exists(path: bytes) -> ConflictError:
    return ConflictError(
        f"{display(path)} exists: give the upload a dirname of its own, or POST /transcription to have it transcribed"
    )


def _flush(base: bytes | int, folders: Iterable[tuple[bytes, ...]]) -> None:
    """Flush these directories to the disk, inner ones first."""
    for parts in sorted(folders, key=len, reverse=True):
        with descended(base, parts) as folder:
            os.fsync(folder)


def _sweep_one(place: int, name: bytes) -> None:
    with suppress(OSError):
        folder = os.open(name, DIRECTORY, dir_fd=place)
        try:
            if not _is_locked(folder):
                shutil.rmtree(name, ignore_errors=True, dir_fd=place)
                logger.info("removed an upload that was never finished")
        finally:
            os.close(folder)


def _is_locked(folder: int) -> bool:
    """Lock a directory as long as it is open; True where another has. Where locks are unknown nobody has."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
