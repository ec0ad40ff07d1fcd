"""Lane: one item is recorded, then items are done again and again, each with another one of its calls broken."""

from __future__ import annotations

import random
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.acceptance.harness import tone
from tests.torture.checker import Finding, judge
from tests.torture.faults import CALLS, DISK, ROLES, Fault
from tests.torture.ledger import Trial
from tests.torture.rig import ENDED, LOOK_S, GoneError, Rig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.torture.arena import Arena

PATIENCE_S = 40.0  # for one link, and for the rest at the end
LINKS = 6  # faults in one trial: each start recovers from the fault before and meets the next one
LONG_FAILURE = 5  # calls in a row: a disk that stays full for a while
GROWING = frozenset(DISK) - {"unlink", "truncate"}  # what a full disk refuses


@dataclass(frozen=True, slots=True)
class Chain:
    """Faults that strike one after another, each while another item is done."""

    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.faults))


def points(arena: Arena, seed: int) -> list[Chain]:
    """Return every call of every process with every way to break it, in the order of this seed, some in a chain."""
    if not arena.on_postgres:
        _make_template(arena)
    counts = arena.recall(lambda: _record(arena))
    every = [
        fault for role in ROLES for call in CALLS for fault in _of_call(role, call, counts[f"{role} {call}"])
    ]
    random.Random(seed).shuffle(every)  # noqa: S311 - a sample, no secret
    return [Chain(tuple(every[at : at + LINKS])) for at in range(0, len(every), LINKS)]


def _of_call(role: str, call: str, count: int) -> Iterator[Fault]:
    for at in range(1, count + 1):
        yield Fault(role, call, at, "kill before")
        yield Fault(role, call, at, "kill after")
        if role == "core" and call in DISK:
            yield Fault(role, call, at, "fail", "EIO")
        if role == "core" and call in GROWING:
            yield Fault(role, call, at, "fail", "ENOSPC")
            yield Fault(role, call, at, "fail", "ENOSPC", LONG_FAILURE)


def _make_template(arena: Arena) -> None:
    """Run a service once, so that a trial need not begin with an empty disk."""
    rig = arena.rig("template")
    try:
        tone(rig.root / "before" / "old.wav", 1.0, 300.0)
        rig.start()
        assert rig.until(rig.is_at_rest, PATIENCE_S), rig.log.read_text()
    finally:
        rig.end()
    arena.template = rig.root


def _record(arena: Arena) -> Mapping[str, int]:
    """Do one item without any fault; return how many calls each process made of each kind."""
    rig = arena.rig("recording")
    try:
        _prepare(rig, arena)
        _do_item(rig, 0)
        assert rig.until(rig.is_at_rest, PATIENCE_S), rig.log.read_text()
        return {" ".join(of): count for of, count in rig.orders.counts().items()}
    finally:
        rig.end()


def trial(arena: Arena, chain: Chain) -> Trial:
    """Do an item for each fault, starting the core again when it has died, and judge what is there in the end."""
    began = time.monotonic()
    rig = arena.rig(arena.name)
    struck = 0
    try:
        _prepare(rig, arena)
        for number, fault in enumerate(chain.faults):
            rig.orders.arm(fault)
            _do_item(rig, number)
            struck += rig.orders.fired > 0
            rig.end()
        rig.orders.disarm()
        rig.start()
        came_to_rest = rig.until(rig.is_at_rest, PATIENCE_S)
    finally:
        rig.end()
    litter = any(fault.call == "unlink" for fault in chain.faults)
    found = judge(rig.root, rig.database_url, rig.history.answers, litter=litter)
    found += [] if came_to_rest else [Finding("stuck", "it did not come to rest")]
    arena.keep_or_forget(rig, found)
    return Trial(arena.name, str(chain), struck, time.monotonic() - began, tuple(map(str, found)))


def _prepare(rig: Rig, arena: Arena) -> None:
    """Give it a queue that has been used before."""
    if arena.template is not None:
        shutil.copytree(arena.template, rig.root, dirs_exist_ok=True)


def _do_item(rig: Rig, number: int) -> None:
    """Start, submit something new and follow it to its end, or to the core's."""
    tone(rig.root / "a" / f"{number}.wav", 1.0, 440.0 + number)
    deadline = time.monotonic() + PATIENCE_S
    rig.serve(PATIENCE_S)
    with suppress(GoneError):
        while (task := rig.post("a")) is None and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        rig.until(lambda: rig.look(str(task)) in ENDED, deadline - time.monotonic())
