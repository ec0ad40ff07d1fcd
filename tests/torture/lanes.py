"""The lanes, and how one is run: its points in the order of the seed, some at a time, until all or the time is over."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tests.postgres import binaries
from tests.torture import migration, nemesis, power, real, syscalls, zombies
from tests.torture.arena import Arena
from tests.torture.ledger import Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.torture.ledger import Ledger

logger = logging.getLogger("torture")


class Lane(Protocol):
    """A module: what can be done, and doing one of it."""

    def points(self, arena: Arena, seed: int) -> Sequence[Any]:
        """Return what there is to do, each of it a text when printed, in the order of this seed."""
        ...

    def trial(self, arena: Arena, point: Any) -> Trial:
        """Do one of it and judge what is left."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A lane, and what all its trials have in common."""

    name: str
    lane: Lane
    arena: Mapping[str, Any] = field(default_factory=dict)
    at_once: int | None = None  # trials, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for."""

    seed: int
    minutes: float | None  # for one lane
    parallel: int
    haste: float
    only: str
    until_found: bool
    struck: int | None  # a lane is over when so many faults have struck
    resume: bool
    results: Path


LANES: Mapping[str, Setup] = {
    each.name: each
    for each in (
        Setup(name="syscalls", lane=syscalls),
        Setup(name="syscalls-wal", lane=syscalls, arena={"journal": "wal"}),
        Setup(name="syscalls-postgres", lane=syscalls, arena={"postgres": True}),
        Setup(name="zombies", lane=zombies),
        Setup(name="zombies-postgres", lane=zombies, arena={"postgres": True}),
        Setup(name="nemesis", lane=nemesis),
        Setup(name="nemesis-wal", lane=nemesis, arena={"journal": "wal"}),
        Setup(name="nemesis-postgres", lane=nemesis, arena={"postgres": True}),
        Setup(name="power", lane=power),
        Setup(name="power-wal", lane=power, arena={"journal": "wal"}),
        Setup(name="migration", lane=migration),
        Setup(name="migration-wal", lane=migration, arena={"journal": "wal"}),
        Setup(name="real", lane=real, arena={"haste": 1.0}, at_once=1),
    )
}


def run(setup: Setup, plan: Plan, ledger: Ledger) -> None:
    """Run one lane, where there is what it needs."""
    if setup.arena.get("postgres") and binaries() is None:
        logger.warning("%s: skipped, no PostgreSQL server is installed here", setup.name)
        return
    memory = plan.results / f"{setup.name}.json"
    if not plan.resume:
        memory.unlink(missing_ok=True)
    common: dict[str, Any] = {"haste": plan.haste, "keep": plan.results / "found", "memory": memory}
    with Arena(name=setup.name, **{**common, **setup.arena}) as arena:
        every = setup.lane.points(arena, plan.seed)
        left = [each for each in every if plan.only in str(each) and not ledger.has(setup.name, str(each))]
        logger.info("%s: %d points, %d of them to do", setup.name, len(every), len(left))
        Run(setup, arena, plan, ledger).over(left)


class Run:
    """Trials of one lane, some at a time."""

    def __init__(self, setup: Setup, arena: Arena, plan: Plan, ledger: Ledger) -> None:
        self._lane = setup.lane
        self._at_once = min(plan.parallel, setup.at_once or plan.parallel)
        self._arena = arena
        self._plan = plan
        self._ledger = ledger
        self._keeping = threading.Lock()
        self._deadline = None if plan.minutes is None else time.monotonic() + plan.minutes * 60
        self._found = False

    def over(self, points: Sequence[Any]) -> None:
        """Make these trials, as far as the time goes."""
        with ThreadPoolExecutor(self._at_once) as pool:
            list(pool.map(self._do, points))

    def _do(self, point: Any) -> None:
        if self._is_over:
            return
        trial = self._fenced(point)
        with self._keeping:
            self._ledger.add(trial)
            self._found = self._found or bool(trial.findings)
        for finding in trial.findings:
            logger.error("%s | %s | %s", trial.lane, trial.point, finding)

    def _fenced(self, point: Any) -> Trial:
        """Make one trial; one that fails by itself, and not by what it found, ends no other."""
        try:
            return self._lane.trial(self._arena, point)
        except Exception as error:
            logger.exception("%s | %s", self._arena.name, point)
            return Trial(self._arena.name, str(point), 0, 0.0, (f"no trial: {error!r}",))

    @property
    def _is_over(self) -> bool:
        late = self._deadline is not None and time.monotonic() > self._deadline
        enough = self._plan.struck is not None and self._ledger.struck(self._arena.name) >= self._plan.struck
        return late or enough or (self._found and self._plan.until_found)
