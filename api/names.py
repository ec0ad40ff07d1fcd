r"""File names in requests: as text, or as answers show them where bytes are not UTF-8 (`\xNN`)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")


def meant(root: Path, name: str) -> bytes | str:
    r"""Return the path that a client means by `name`: itself, or the bytes that it shows where only those exist.

    JSON carries text only, so an answer shows the byte FF as `\xff`; asking for what was shown must work.
    """
    try:
        shown = os.fsencode(name)
    except UnicodeEncodeError:  # no file can have this name; who opens it says so
        return name
    raw = _SHOWN_BYTE.sub(lambda match: bytes([int(match[1], 16)]), shown)
    if raw == shown or _exists(root, shown) or not _exists(root, raw):
        return name
    return raw


def _exists(root: Path, path: bytes) -> bool:
    return os.path.lexists(os.fsencode(root) + b"/" + path)
