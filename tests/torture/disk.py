"""A disk as it may be after a power cut: what was written, told from what was flushed.

Replays the trace that faults.c writes. A file keeps the bytes of its last fsync, a directory the names of its last
fsync; of what came after, each cut decides what had reached the disk.
"""

from __future__ import annotations

import itertools
import os
import random
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.torture.faults import CALLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_HEAD = struct.Struct("6q")
LOST = ("all", "data", "some")  # of what was not flushed: everything, the bytes but no names, some of both


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One call that changed the disk, or flushed something."""

    call: str
    at: float  # monotonic seconds
    path: str
    other: str
    offset: int
    data: bytes


def read_trace(path: Path) -> Iterator[Change]:
    """Yield the changes in the order in which they happened."""
    raw, at = path.read_bytes(), 0
    while at < len(raw):
        call, at_ns, offset, size, name, other = _HEAD.unpack_from(raw, at)
        ends = [at + _HEAD.size]
        for length in (name, other, size):
            ends.append(ends[-1] + length)
        first, second, data = (raw[start:end] for start, end in itertools.pairwise(ends))
        at = ends[-1]
        yield Change(
            call=CALLS[call],
            at=at_ns / 1e9,
            path=os.fsdecode(first),
            other=os.fsdecode(second),
            offset=offset,
            data=data,
        )


@dataclass(slots=True)
class _File:
    flushed: bytes = b""
    since: list[Change] = field(default_factory=list)  # writes and truncations not flushed

    def bytes_now(self, changes: Sequence[Change]) -> bytes:
        content = bytearray(self.flushed)
        for change in changes:
            if change.call == "truncate":
                del content[change.offset :]
                content.extend(bytes(change.offset - len(content)))
                continue
            content.extend(bytes(max(0, change.offset - len(content))))
            content[change.offset : change.offset + len(change.data)] = change.data
        return bytes(content)


@dataclass(slots=True)
class _Folder:
    flushed: dict[str, _File | _Folder] = field(default_factory=dict)
    since: list[tuple[str, _File | _Folder | None]] = field(
        default_factory=list
    )  # names given and taken away

    def names_now(self, count: int) -> dict[str, _File | _Folder]:
        names = dict(self.flushed)
        for name, what in self.since[:count]:
            if what is None:
                names.pop(name, None)
            else:
                names[name] = what
        return names


class Disk:
    """The tree below one directory, which itself is there for good."""

    def __init__(self, before: Path, root: Path) -> None:
        """`before` holds what lay there, flushed, when the trace began; the trace calls the directory `root`."""
        self._root = os.fspath(root)
        self._top = _Folder()
        self._open: dict[str, _File | _Folder] = {}  # by the path under which it can be reached now
        for path in sorted(before.rglob("*")):
            self._name(os.fspath(root / path.relative_to(before)), _found(path))
        for each in (self._top, *self._open.values()):
            if isinstance(each, _Folder):
                each.flushed, each.since = each.names_now(len(each.since)), []

    def apply(self, change: Change) -> None:
        """Let one change happen."""
        path = change.path
        match change.call:
            case "create" | "mkdir":
                self._name(path, _Folder() if change.call == "mkdir" else _File())
            case "write" | "truncate":
                if isinstance(what := self._open.get(path), _File):
                    what.since.append(change)
            case "fsync" | "fdatasync":
                self._flush(path)
            case "link":
                self._name(change.other, self._open.get(path))
            case "rename":
                self._name(change.other, self._open.get(path))
                self._name(path, None)
            case "unlink":
                self._name(path, None)

    def _folder(self, path: str) -> _Folder | None:
        found = self._top if path == self._root else self._open.get(path)
        return found if isinstance(found, _Folder) else None

    def _name(self, path: str, what: _File | _Folder | None) -> None:
        folder = self._folder(os.path.dirname(path))  # noqa: PTH120 - text
        if folder is None:
            return  # elsewhere
        folder.since.append((os.path.basename(path), what))  # noqa: PTH119 - text
        if what is None:
            self._open.pop(path, None)
        else:
            self._open[path] = what

    def _flush(self, path: str) -> None:
        if folder := self._folder(path):
            folder.flushed, folder.since = folder.names_now(len(folder.since)), []
        elif isinstance(file := self._open.get(path), _File):
            file.flushed, file.since = file.bytes_now(file.since), []

    def after_power_cut(self, target: Path, lost: str, seed: int) -> None:
        """Write the tree as the disk may hold it into a folder."""
        _write_out(self._top, target, lost, random.Random(seed))  # noqa: S311 - a sample, no secret


def _found(path: Path) -> _File | _Folder:
    return _Folder() if path.is_dir() else _File(path.read_bytes())


def _write_out(folder: _Folder, target: Path, lost: str, chance: random.Random) -> None:
    target.mkdir(exist_ok=True)
    for name, what in sorted(folder.names_now(_kept(len(folder.since), lost, chance)).items()):
        if isinstance(what, _Folder):
            _write_out(what, target / name, lost, chance)
        else:
            (target / name).write_bytes(what.bytes_now(_survivors(what.since, lost, chance)))


def _kept(names: int, lost: str, chance: random.Random) -> int:
    """Return how many changes of names reached the disk: file systems journal them in order."""
    return {"all": 0, "data": names, "some": chance.randint(0, names)}[lost]


def _survivors(changes: Sequence[Change], lost: str, chance: random.Random) -> Sequence[Change]:
    """Return the writes that reached the disk: in any order."""
    return [each for each in changes if chance.random() < 0.5] if lost == "some" else ()
