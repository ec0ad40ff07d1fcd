"""Exchanges directories and files of a workdir for links that lead out of it, again and again, each time atomically.

    python -m tests.hostile.swapper WORKDIR SEED RESTS

Ends with the process that started it, or when it is killed. `swapped` makes the tree that it works on.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.harness import ROOT
from tests.hostile.forge.case import outside
from tests.hostile.forge.waves import wav

FOLDER, DEEP, SOUND = "talks", "talks/deep", "talks/x.wav"
SOURCES = (b"talks/x.wav", b"talks/y.wav", b"talks/deep/x.wav")
EXCHANGE = 2  # linux/fs.h: RENAME_EXCHANGE
AWAY_S, THERE_S = 0.0005, 0.002  # at most
# what strace tells of: everything that opens, makes, moves or removes a file
WATCHED = "trace=/^(open|unlink|rename|link|symlink|mkdir|rmdir|mknod|truncate|chmod|chown),pread64,getdents64,fchmod"
_LIBC = ctypes.CDLL(None, use_errno=True)


def swapped(workdir: Path) -> Path:
    """Make a workdir, the same tree beside it that nobody may touch, and the links; return that tree."""
    withheld = outside(workdir / "x")
    for base, sound in ((workdir, wav()), (withheld, wav(bytes(64_000)))):
        (base / DEEP).mkdir(parents=True)
        for source in SOURCES:
            (base / os.fsdecode(source)).write_bytes(sound)
        (base / FOLDER / "whisper.toml").write_text('language = "fr"\n')
    for name in (FOLDER, DEEP, SOUND):
        link = _beside(workdir / name)
        link.symlink_to(withheld / name)
    return withheld


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.away")


def swap(workdir: Path, seed: str, rests: float) -> None:
    """Exchange one of the three for its link and back, for ever; rest in between as long as chance will have it."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    places = [_place(workdir / name) for name in (FOLDER, DEEP, SOUND)]
    while True:
        folder, name = chance.choice(places)
        for rest in (AWAY_S, THERE_S):
            _LIBC.renameat2(folder, os.fsencode(name), folder, os.fsencode(_beside(Path(name))), EXCHANGE)
            time.sleep(chance.random() * chance.choice((0, rest * rests)))


def _place(path: Path) -> tuple[int, str]:
    """Return a descriptor of the directory, which no exchange leads astray, and the name in it."""
    return os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY), path.name


@contextmanager
def swapping(workdir: Path, seed: int, rests: float = 1.0) -> Iterator[None]:
    """Have a process of its own swap meanwhile, with rests so many times as long."""
    swapper = subprocess.Popen(
        [sys.executable, "-m", "tests.hostile.swapper", str(workdir), str(seed), str(rests)], cwd=ROOT
    )
    try:
        yield
        assert swapper.poll() is None
    finally:
        swapper.kill()
        swapper.wait()


def as_it_is(tree: Path) -> dict[Path, tuple[object, ...]]:
    """Return what is in a tree, and when it was last touched."""
    return {path: (*_seen(path), _digest(path)) for path in (tree, *sorted(tree.rglob("*")))}


def _seen(path: Path) -> tuple[int, ...]:
    seen = path.lstat()
    return seen.st_ino, seen.st_mode, seen.st_uid, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_nlink


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


if __name__ == "__main__":
    swap(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
