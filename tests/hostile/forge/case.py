"""One hostile file: its name, how it is made, and how it may end."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

DONE = "done"
LIST = ("not_media",)  # a list of other files is none of ours
EITHER = (DONE, "corrupt", "not_media")  # what is left of it, or that nothing is: FFmpeg's versions differ


@dataclass(frozen=True, slots=True)
class Case:
    """A file of this name below a workdir, beside which a directory `outside` holds what nobody may read."""

    name: str
    make: Callable[[Path], object]
    ends: Collection[str]  # "done" and codes of failure


def holding(name: str, content: bytes | Callable[[], bytes], *ends: str) -> Case:
    """Return the case of a file with this content, computed when it is wanted."""
    return Case(name, lambda path: path.write_bytes(content() if callable(content) else content), ends)


def outside(path: Path) -> Path:
    """Return the directory beside the workdir that holds what nobody may read."""
    return path.parents[1] / "outside"
