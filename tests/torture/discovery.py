"""How long it takes to find what comes: endless generators of seconds, from batch after batch of files."""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from tests.acceptance.harness import tone
from tests.torture.checker import judge
from tests.torture.user import write_slowly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.torture.arena import Arena
    from tests.torture.checker import Finding
    from tests.torture.rig import Rig

QUIET_S = 5.0  # the program's own, on a local disk
RESCAN_S = 20.0
HASTE = 4.0  # of `slow`, the quiet time too
BATCH = 20
WRITERS = 100
PARTS = 4
SPREAD_S = 5.0  # a batch comes within so long, about
SHORT_PAUSE_S = 0.9  # shorter than a closed file is waited for
PATIENCE_S = 90.0
STATE = (
    "SELECT file.path, event.at FROM event JOIN file ON file.id = event.file_id "
    "WHERE event.kind = 'file' AND event.state = ?"
)

chance = random.Random()  # noqa: S311 - any moment will do


def renamed(arena: Arena) -> Iterator[float]:
    """Rename files within their folder, or move them in from elsewhere; yield the times until they are queued."""
    return _batches(arena, _rename)


def finished(arena: Arena) -> Iterator[float]:
    """Write files with short pauses; yield the times from their end until they are queued."""
    return _batches(arena, _write)


def unheard(arena: Arena) -> Iterator[float]:
    """Copy files in while nobody listens; yield the times until a rescan has found and queued them."""
    return _batches(arena, _rename, "--no_watch", "--rescan_cron", f"{RESCAN_S:.0f}s")


def _batches(arena: Arena, put: Callable[[Path], float], *flags: str) -> Iterator[float]:
    rig = arena.rig("discovery", flags=("--quiet_seconds", str(QUIET_S), *flags))
    (rig.root / "a").mkdir()
    try:
        assert rig.serve(PATIENCE_S), rig.log.read_text()
        for number in itertools.count():
            paths = [rig.root / "a" / f"{number}-{each}.wav" for each in range(BATCH)]
            yield from _until(rig, "queued", _put_all(paths, put))
    finally:
        rig.end()


def _put_all(paths: list[Path], put: Callable[[Path], float]) -> Mapping[Path, float]:
    """Have files come one after another; return when each was there."""
    with ThreadPoolExecutor(len(paths)) as pool:
        coming = []
        for path in paths:
            time.sleep(chance.uniform(0, 2 * SPREAD_S / len(paths)))
            coming.append(pool.submit(put, path))
        return {path: each.result() for path, each in zip(paths, coming, strict=True)}


def _rename(path: Path) -> float:
    """Give a file its name: it was there as a part, or outside."""
    folder = chance.choice((path.parent, path.parents[2] / "outside"))
    hidden = tone(folder / f".{path.name}.part", 0.2, chance.uniform(200, 9_000))
    hidden.rename(path)
    return time.time()


def _write(path: Path) -> float:
    pauses = [chance.uniform(0, SHORT_PAUSE_S) for _ in range(PARTS)]
    return write_slowly(path, _recording(path), pauses, keeps_open=chance.random() < 0.5)


def slow(arena: Arena) -> Iterator[float]:
    """Write files with pauses of up to five quiet times; yield the times from their end to their final transcript."""
    quiet_s = QUIET_S / HASTE

    def write(path: Path) -> float:
        pauses = [chance.uniform(0, 5 * quiet_s) for _ in range(PARTS)]
        return write_slowly(path, _recording(path), pauses, keeps_open=chance.random() < 0.5)

    while True:
        yield from _batch_of_slow(arena, write, quiet_s)


def _batch_of_slow(arena: Arena, write: Callable[[Path], float], quiet_s: float) -> list[float]:
    """Have many written at once on a service of its own; the judge must have nothing to say in the end."""
    rig = arena.rig("slow", flags=("--quiet_seconds", str(quiet_s)))
    (rig.root / "a").mkdir()
    try:
        assert rig.serve(PATIENCE_S), rig.log.read_text()
        paths = [rig.root / "a" / f"{each}.wav" for each in range(WRITERS)]
        times = _until(rig, "done", _put_all(paths, write))
        rig.until(lambda: rig.is_at_rest() and not _judged(rig), PATIENCE_S)
    finally:
        rig.end()
    found = _judged(rig)
    arena.keep_or_forget(rig, found)
    assert not found, found
    return times


def _judged(rig: Rig) -> list[Finding]:
    return judge(rig.root, rig.database_url, rig.history.answers)


def _recording(path: Path) -> bytes:
    made = tone(path.parents[2] / "outside" / path.name, 0.3, chance.uniform(200, 9_000))
    return made.read_bytes()


def _until(rig: Rig, state: str, there: Mapping[Path, float]) -> list[float]:
    """Wait until each of these has entered a state since it was there; return how long that took."""
    names = {os.fsencode(path.relative_to(rig.root)): at for path, at in there.items()}
    took: dict[bytes, float] = {}

    def all_did() -> bool:
        for name, at in _entered(rig, state):
            if name in names and at >= names[name]:
                took.setdefault(name, at - names[name])
        return took.keys() == names.keys()

    assert rig.until(all_did, PATIENCE_S), f"not {state}: {names.keys() - took.keys()}"
    return list(took.values())


def _entered(rig: Rig, state: str) -> list[tuple[bytes, float]]:
    """Return which files entered a state, and when, the first time first."""
    with closing(sqlite3.connect(rig.database_url.removeprefix("sqlite:///"))) as connection:
        return list(connection.execute(f"{STATE} ORDER BY event.id", (state,)))
