"""The reports of a directory: put in place whole, over no file but ours, and taken away again."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.outputs import STATUS_JSON, STATUS_TXT, opened_directory, sha256_of
from pipeline.provenance import PROGRAM, open_regular
from pipeline.relay import atomic
from pipeline.relay.wording import MARK

if TYPE_CHECKING:
    from pathlib import Path

_MARKS = {STATUS_JSON: b'"written_by": "%s"' % PROGRAM.encode(), STATUS_TXT: MARK.encode()}
_HEAD = 200  # bytes in which the mark stands


def post(directory: int, name: bytes, content: bytes) -> bool:
    """Put a report in place, unless it is there already; refuse over a file that is not a report of ours."""
    head = _head(directory, name)
    if head is not None and _MARKS[name] not in head:
        return False
    token = hashlib.sha256(content).hexdigest()
    if head is not None and sha256_of(name, directory) == token:
        return True
    temporary = atomic.write_temporary(directory, name, token[:16], content, os.fstat(directory))
    try:
        (atomic.put_new if head is None else atomic.put_over)(directory, temporary, name)
    except FileExistsError:
        return False
    finally:
        atomic.remove(directory, [temporary])
    return True


def take_down(base: Path, folder: bytes) -> None:
    """Remove the reports of a directory below `base`, where they are ours."""
    with suppress(OSError), opened_directory(os.fsencode(base), folder) as directory:
        ours = [name for name, mark in _MARKS.items() if mark in (_head(directory, name) or b"")]
        atomic.remove(directory, ours)


def _head(directory: int, name: bytes) -> bytes | None:
    """Return the beginning of a file, None if there is none; nothing of what is no file or not to be read."""
    try:
        fd = open_regular(name, directory)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
    try:
        return os.read(fd, _HEAD)
    finally:
        os.close(fd)
