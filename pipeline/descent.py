"""The way down to a directory, opened part by part so that nothing put there meanwhile leads out; and the way up."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def descended(base: bytes | int, parts: Iterable[bytes], *, make: bool = False) -> Iterator[int]:
    """Open the directory that these names lead to from `base`, following no link below it. Raises OSError.

    `base` is a path or the descriptor of an open directory; with `make`, what is missing is created.
    """
    folder = os.dup(base) if isinstance(base, int) else os.open(base, DIRECTORY & ~os.O_NOFOLLOW)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
            inner = os.open(part, DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def directories_above(path: bytes) -> Iterator[bytes]:
    """Yield the directories around a relative path, the innermost first, without the one it is relative to."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path
