"""Lane: the power fails after each change of the disk, and what was not flushed is gone."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.queue.database import open_database
from pipeline.queue.store import TaskStore
from pipeline.relay.commit import Committer
from pipeline.relay.outcomes import recover
from tests.acceptance.harness import tone
from tests.torture.afterwards import Afterwards
from tests.torture.checker import judge
from tests.torture.disk import LOST, Disk, read_trace
from tests.torture.ledger import Trial
from tests.torture.rig import ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.torture.arena import Arena
    from tests.torture.checker import Finding
    from tests.torture.disk import Change
    from tests.torture.history import Acknowledged

PATIENCE_S = 40.0


@dataclass(frozen=True, slots=True)
class Recording:
    """One item from a first start to its end: how it began, every change, every answer."""

    before: Path
    root: Path  # where it happened
    changes: Sequence[Change]
    answers: Sequence[Acknowledged]


@dataclass(frozen=True, slots=True)
class Cut:
    """The power fails after so many changes."""

    after: int
    lost: str  # of what was not flushed: see disk.LOST
    seed: int

    def __str__(self) -> str:
        return f"after change {self.after}, {self.lost} lost, seed {self.seed}"


_ONE_AT_A_TIME = threading.Lock()  # Alembic has one environment for the whole process
_RECORDINGS: dict[str, Recording] = {}  # by arena: points makes one, trials replay it


def points(arena: Arena, seed: int) -> list[Cut]:
    """Return a cut after every change, with each way to lose what was not flushed, in the order of this seed."""
    recording = _RECORDINGS[arena.name] = _record(arena)
    cuts = [Cut(after, lost, seed) for after in range(len(recording.changes) + 1) for lost in LOST]
    random.Random(seed).shuffle(cuts)  # noqa: S311 - a sample, no secret
    return cuts


def _record(arena: Arena) -> Recording:
    rig = arena.rig("recording", traces=True)
    tone(rig.root / "a" / "one.wav", 0.5)
    before = arena.folder / "before"
    shutil.copytree(rig.root, before)
    try:
        rig.serve(PATIENCE_S)
        task = rig.post("a")
        assert task
        assert rig.until(lambda: rig.look(task) in ENDED, PATIENCE_S), rig.log.read_text()
    finally:
        rig.end()
    trace = read_trace(rig.orders.path.with_suffix(".trace"))
    changes = [each for each in trace if Path(each.path).is_relative_to(rig.root)]
    return Recording(before, rig.root, changes, rig.history.answers)


def trial(arena: Arena, cut: Cut) -> Trial:
    """Rebuild the disk, start on it as a core would, and judge: nothing torn, nothing acknowledged in vain."""
    began = time.monotonic()
    recording = _RECORDINGS[arena.name]
    root = Path(tempfile.mkdtemp(dir=arena.folder)) / "workdir"
    disk = Disk(recording.before, recording.root)
    for change in recording.changes[: cut.after]:
        disk.apply(change)
    disk.after_power_cut(root, cut.lost, cut.seed + cut.after)
    shutil.copystat(recording.before / "a" / "one.wav", root / "a" / "one.wav")
    found = tuple(map(str, _judge(root, _told(recording, cut.after))))
    shutil.rmtree(root.parent)
    return Trial(arena.name, str(cut), 1, time.monotonic() - began, found)


def _told(recording: Recording, after: int) -> list[Acknowledged]:
    """Return what had been acknowledged when the power failed."""
    if after == len(recording.changes):
        return list(recording.answers)
    return [each for each in recording.answers if each.at < recording.changes[after].at]


def _judge(root: Path, told: Sequence[Acknowledged]) -> list[Finding]:
    """Recover; then all that is begun may be unfinished, but what is there is whole and what was said is so."""
    url = f"sqlite:///{root / '.whisper' / 'queue.db'}"
    with _ONE_AT_A_TIME:
        _recover(root, url)
    after = Afterwards.read(url)
    sources = {os.fsdecode(path.relative_to(root)) for path in root.rglob("*.wav")}
    done = {row["path"] for row in after.files if row["state"] == "done"}
    found = judge(root, url, told, unheard=sources - done, litter=True)
    return [each for each in found if each.kind not in ("stuck", "unexpected")]


def _recover(root: Path, url: str) -> None:
    """Do with queue and outputs what a core does at its start."""
    database = open_database(url)
    try:
        store = TaskStore(database)
        _epoch, committing = store.open_epoch()
        for file in committing:
            recover(store, Committer(root, None, "torture"), file)
    finally:
        database.close()
