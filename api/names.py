r"""File names in requests: as text, or as answers show them where bytes are not UTF-8 (`\xNN`)."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.ingest.beneath import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")


def meant(root: Path, name: str) -> bytes:
    """Return the path below the workdir that a client means: that of this name, or one that reads the same.

    Raises BadPathError for what is no such path.
    """
    path = clean(name)
    if _exists(root, path):
        return path
    return next((each for each in _alike(path) if _exists(root, each)), path)


def _alike(path: bytes) -> Iterator[bytes]:
    r"""Yield what a path may stand for.

    JSON carries text only, so answers show the byte FF as `\xff`; asking for what was shown must work. And Macs write
    accents beside their letters (NFD) where others have one character for both (NFC).
    """
    yield _SHOWN_BYTE.sub(lambda match: bytes([int(match[1], 16)]), path)
    for form in ("NFC", "NFD"):
        yield os.fsencode(unicodedata.normalize(form, os.fsdecode(path)))


def located(path: Path, workdir: Path) -> Path:
    """Return where a path given by hand lies: below the workdir as that is named, whatever links lead there.

    Of a link to a directory the target is meant; of one to a file the link itself, where watcher and rescan see it so.
    """
    beside, target = Path(os.path.realpath(path.parent)) / path.name, Path(os.path.realpath(path))
    root = Path(os.path.realpath(workdir))
    leaves = not (beside.is_relative_to(root) or target.is_relative_to(beside.parent))
    is_directory = os.path.isdir(target)  # noqa: PTH112 - what may not be looked at is none; Path's would raise
    place = target if path.name == ".." or leaves or is_directory else beside
    return workdir / place.relative_to(root) if place.is_relative_to(root) else place


def _exists(root: Path, path: bytes) -> bool:
    return os.path.lexists(os.fsencode(root) + b"/" + path)
