"""What people do to a drop folder, all at once and in any order."""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.acceptance.harness import tone
from tests.torture.rig import GoneError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.torture.rig import Rig

FOLDERS = ("a", "b", "b/inner", "c")
PARTS = 4
LONGEST_PAUSE_S = 1.5  # five times the quiet time of rig.FLAGS


class User:
    """Writes, renames, rewrites, deletes, moves and submits; remembers what is gone by its own hand."""

    def __init__(self, rig: Rig, chance: random.Random, door: Path) -> None:
        """`door` is the workdir by a path that stays when the workdir's own goes away."""
        self._rig = rig
        self._door = door
        self._chance = chance
        self._made = 0
        self._writers: dict[Path, threading.Thread] = {}
        self._slow: list[bytes] = []
        self._outside = rig.folder / "outside"
        self.gone: set[str] = set()
        self.deeds: tuple[Callable[[], None], ...] = (
            self.add, self.add, self.add_slowly, self.rename, self.rewrite, self.delete,
            self.move_in, self.post, self.post_at_once,
        )  # fmt: skip

    def add(self) -> None:
        """Copy a recording in."""
        self._place(self._new())

    def add_slowly(self) -> None:
        """Write a recording in parts, with pauses longer than the quiet time."""
        raw, path = self._new().read_bytes(), self._somewhere()
        pauses = [self._chance.uniform(0, LONGEST_PAUSE_S) for _ in range(PARTS)]
        self._back(path)
        how = {"keeps_open": self._chance.random() < 0.5}
        writer = threading.Thread(target=write_slowly, args=(path, raw, pauses), kwargs=how)
        self._writers[path] = writer
        self._slow.append(raw)
        writer.start()

    def rename(self) -> None:
        """Give a recording another name, perhaps that of another one."""
        if (old := self._any()) and (
            new := self._any() if self._chance.random() < 0.2 else self._somewhere()
        ):
            with suppress(OSError):
                old.rename(new)
                self._away(old)
                self._back(new)

    def rewrite(self) -> None:
        """Put something else in the place of a recording."""
        if (old := self._any()) is not None:
            self._place(self._new(), old)

    def delete(self) -> None:
        """Remove a recording."""
        if (old := self._any()) is not None:
            with suppress(OSError):
                old.unlink(missing_ok=True)
                self._away(old)

    def move_in(self) -> None:
        """Move a folder with a recording in, from beside the workdir: no event tells of what is in it."""
        inside = self._new()
        folder = self._door.parent / f"moved{self._made}"
        with suppress(OSError):
            folder.mkdir()
            shutil.copy(inside, folder)
            folder.rename(self._door / folder.name)

    def post(self) -> None:
        """Submit a folder."""
        with suppress(GoneError):
            self._rig.post(self._chance.choice(FOLDERS))

    def post_at_once(self) -> None:
        """Submit one folder from five places at the same moment."""
        folder = self._chance.choice(FOLDERS)
        posts = [threading.Thread(target=self._post, args=(folder,)) for _ in range(5)]
        for each in posts:
            each.start()
        for each in posts:
            each.join()

    def finish(self) -> None:
        """Let the slow writers end."""
        for writer in self._writers.values():
            writer.join()

    def mend(self) -> None:
        """Copy again what a full disk, or a mount that went, has cut short."""
        for path in self._door.rglob("*.wav"):
            there = path.read_bytes()
            whole = next((raw for raw in self._slow if there != raw and there in raw), None)
            if whole is not None:
                path.write_bytes(whole)

    def _post(self, folder: str) -> None:
        with suppress(GoneError):
            self._rig.post(folder)

    def _new(self) -> Path:
        self._made += 1
        seconds, pitch = 0.2 + 0.1 * self._chance.random(), 200 + self._chance.randrange(9_000)
        return tone(self._outside / f"{self._made}.wav", seconds, pitch)

    def _place(self, made: Path, at: Path | None = None) -> None:
        """Copy within the folder under a name that nobody looks at, then rename; a full disk may refuse."""
        path = at or self._somewhere()
        hidden = path.with_name(f".{path.name}.part")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                hidden.write_bytes(made.read_bytes())
                hidden.rename(path)
                self._back(path)
            finally:
                hidden.unlink(missing_ok=True)

    def _somewhere(self) -> Path:
        """Return a name that was never given."""
        self._made += 1
        folder = self._door / self._chance.choice(FOLDERS)
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self._made}.wav"

    def _any(self) -> Path | None:
        busy = {path for path, writer in self._writers.items() if writer.is_alive()}
        there = sorted(set(self._door.rglob("*.wav")) - busy)
        return self._chance.choice(there) if there else None

    def _name(self, path: Path) -> str:
        return os.fsdecode(path.relative_to(self._door))

    def _away(self, path: Path) -> None:
        self.gone.add(self._name(path))

    def _back(self, path: Path) -> None:
        self.gone.discard(self._name(path))


def write_slowly(path: Path, raw: bytes, pauses: Sequence[float], *, keeps_open: bool) -> float:
    """Write parts of a file, each after a pause; open all the time, or opened for each. Return the time of its end."""
    size = -(-len(raw) // len(pauses))
    parts = [raw[at : at + size] for at in range(0, len(raw), size)]
    with suppress(OSError):
        if keeps_open:
            with path.open("wb", buffering=0) as file:
                for part, pause in zip(parts, pauses, strict=False):
                    time.sleep(pause)
                    file.write(part)
            return time.time()
        path.write_bytes(b"")
        for part, pause in zip(parts, pauses, strict=False):
            time.sleep(pause)
            with path.open("ab") as file:
                file.write(part)
    return time.time()
