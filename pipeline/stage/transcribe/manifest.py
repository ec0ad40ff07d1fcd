"""What is known of checkpoint files: their SHA-256, so that start-up need not read gigabytes again."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from pipeline.durable import flush

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Manifest:
    """`verified.json` in the cache: hashes of files seen (by size and mtime) and of files we converted.

    Files in the cache go by their name, so that the cache can move; others by their absolute path. Where the
    cache cannot be written nothing is remembered, and files are hashed each time.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.path = cache / "verified.json"

    def sha256(self, path: Path) -> str:
        """Return the file's hash: the remembered one while its size and mtime are the same."""
        stat = path.stat()
        look = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        known = self._read()["seen"].get(self._key(path), {})
        if {name: known.get(name) for name in look} == look:
            return str(known["sha256"])
        digest = hash_file(path)
        self._write("seen", path, look | {"sha256": digest})
        return digest

    def converted(self, path: Path) -> str | None:
        """Return the hash that this file had when we wrote it."""
        digest = self._read()["converted"].get(self._key(path))
        return None if digest is None else str(digest)

    def record_converted(self, path: Path, digest: str) -> None:
        """Remember a file that we wrote."""
        self._write("converted", path, digest)

    def _key(self, path: Path) -> str:
        path = path.resolve()
        return path.name if path.parent == self.cache.resolve() else str(path)

    def _read(self) -> dict[str, dict[str, Any]]:
        empty: dict[str, dict[str, Any]] = {"seen": {}, "converted": {}}
        with suppress(OSError, ValueError):  # absent or damaged: everything is hashed again
            empty |= json.loads(self.path.read_bytes())
        return empty

    def _write(self, section: str, path: Path, value: object) -> None:
        with suppress(OSError), locked(self.cache / ".verified.lock"):
            content = self._read()
            content[section][self._key(path)] = value
            with replacing(self.path) as file:
                file.write(json.dumps(content, indent=1).encode())


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock on `path` among processes.

    Where the file system has no locks we go on without: each file is whole or absent in any case.
    """
    with path.open("ab") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file so that it appears whole or not at all, and survives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)
