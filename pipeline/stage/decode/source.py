"""The media file as one open descriptor: opened safely, hashed, and checked to be still the same at the end."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Self

from pipeline.descent import descended
from pipeline.errors import (
    ChangedError,
    CorruptError,
    EmptyFileError,
    GoneError,
    NotMediaError,
    OutsideError,
    PipelineError,
    ReadFailedError,
    UnreadableError,
)
from pipeline.tasks import Fingerprint, display

if TYPE_CHECKING:
    from collections.abc import Callable

HASH_BLOCK = 1 << 20
# O_NONBLOCK: opening a FIFO must not wait for its writer
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_GONE = {errno.ENOENT, errno.ENOTDIR}
_DENIED = {errno.EACCES, errno.EPERM}
_LEAVES = {errno.ELOOP, errno.EXDEV}
_NO_FILE = {errno.ENXIO, errno.ENODEV}  # a socket, a device that nobody drives
GIB = 1 << 30
MOST_HOLES = 1000  # times what was written: no file system that makes holes of zeros makes so many of sound


class Source:
    """A regular file below the workdir, open for reading.

    Symlinks are resolved first and must end below the workdir; the resolved path is then opened component by
    component without following any, so that one swapped in between is refused.
    """

    def __init__(self, root: bytes, path: bytes) -> None:
        self.path = path
        self._root = os.path.realpath(root)
        self._joined = self._root + b"/" + path
        try:
            self.fd = self._open()
        except OSError as error:
            raise self.explain(error) from error
        self.fingerprint = self._fingerprint(os.fstat(self.fd))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    @property
    def name(self) -> str:
        """The path for messages."""
        return display(self.path)

    def expect(self, size: int, mtime_ns: int) -> None:
        """Raise unless this is the version that was queued and holds bytes that somebody wrote."""
        if self.fingerprint != Fingerprint(size, mtime_ns):
            raise ChangedError(self.name)
        if not size:
            raise EmptyFileError(self.name)
        if size > GIB and (written := self._written(size // MOST_HOLES)) < size // MOST_HOLES:
            raise CorruptError(f"{self.name}: all but {written} bytes of it were never written")

    def sha256(self, stopped: Callable[[], bool]) -> str:
        """Return the SHA-256 of the content, read in blocks; of what was read so far once `stopped()`."""
        digest = hashlib.sha256()
        offset = 0
        try:
            while not stopped() and (block := os.pread(self.fd, HASH_BLOCK, offset)):
                digest.update(block)
                offset += len(block)
        except OSError as error:
            raise self.explain(error) from error
        return digest.hexdigest()

    def confirm(self) -> None:
        """Raise ChangedError or GoneError unless file and path are as they were when they were opened."""
        try:
            at_path = os.stat(self._joined)  # noqa: PTH116 - a path of bytes
        except OSError as error:
            raise self.explain(error) from error
        for seen in (os.fstat(self.fd), at_path):
            if self._fingerprint(seen) != self.fingerprint:
                raise ChangedError(self.name)

    def explain(self, error: OSError) -> PipelineError:
        """Return what an error of the operating system means for this file."""
        if error.errno in _GONE:
            return GoneError(self.name)
        if error.errno in _DENIED:
            return UnreadableError(self.name)
        if error.errno in _LEAVES:
            return OutsideError(self.name)
        if error.errno in _NO_FILE:
            return NotMediaError(self.name)
        return ReadFailedError(f"{self.name}: {error.strerror or error}")

    def _written(self, enough: int) -> int:
        """Return how many bytes are no holes, or at least `enough`; lseek(2) knows of those not on the disk yet."""
        written = at = 0
        try:
            while written < enough:
                begin = os.lseek(self.fd, at, os.SEEK_DATA)
                at = os.lseek(self.fd, begin, os.SEEK_HOLE)
                written += at - begin
        except OSError as error:
            return (
                written if error.errno == errno.ENXIO else enough
            )  # no more data; a file system that cannot say
        return written

    def _open(self) -> int:
        resolved = os.path.realpath(self._joined)
        if not resolved.startswith(self._root.rstrip(b"/") + b"/"):
            raise OSError(errno.EXDEV, "outside the workdir")
        *folders, name = os.path.relpath(resolved, self._root).split(b"/")
        with descended(self._root, folders) as folder:
            return self._regular(os.open(name, _FILE, dir_fd=folder))

    def _regular(self, fd: int) -> int:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise NotMediaError(self.name)

    @staticmethod
    def _fingerprint(seen: os.stat_result) -> Fingerprint:
        return Fingerprint(seen.st_size, seen.st_mtime_ns)
