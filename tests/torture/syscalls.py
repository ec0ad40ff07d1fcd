"""Lane: one item is recorded, then done again and again, each time with another one of its system calls broken."""

from __future__ import annotations

import random
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.acceptance.harness import tone
from tests.torture.checker import Finding, judge
from tests.torture.faults import CALLS, DISK, ROLES, Fault
from tests.torture.ledger import Trial
from tests.torture.rig import ENDED, LOOK_S, GoneError, Rig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.torture.arena import Arena

PATIENCE_S = 40.0  # for a trial to come to rest
STARTS = 4  # of a core that goes down by itself, too
LONG_FAILURE = 5  # calls in a row: a disk that stays full for a while
GROWING = frozenset(DISK) - {"unlink", "truncate"}  # what a full disk refuses


def points(arena: Arena, seed: int) -> list[Fault]:
    """Return every call of every process with every way to break it, in the order of this seed."""
    if not arena.on_postgres:
        _make_template(arena)
    counts = _record(arena)
    every = [fault for role in ROLES for call in CALLS for fault in _of_call(role, call, counts[role, call])]
    random.Random(seed).shuffle(every)  # noqa: S311 - a sample, no secret
    return every


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


def _record(arena: Arena) -> Mapping[tuple[str, str], int]:
    """Do one item without any fault; return how many calls of each kind that took."""
    rig = arena.rig("recording")
    try:
        _prepare(rig, arena)
        rig.start()
        assert not _see_through(rig, time.monotonic() + PATIENCE_S), rig.log.read_text()
        return rig.orders.counts()
    finally:
        rig.end()


def trial(arena: Arena, fault: Fault) -> Trial:
    """Do the item with this call broken, restart what died, and judge what is there in the end."""
    began = time.monotonic()
    rig = arena.rig(f"{arena.name}-{fault}")
    try:
        _prepare(rig, arena)
        rig.orders.arm(fault)
        rig.start()
        found = _see_through(rig, began + PATIENCE_S)
        fired = rig.orders.fired
        rig.end()
        found += judge(rig.root, rig.database_url, rig.history.answers, litter=fault.call == "unlink")
    finally:
        rig.end()
    arena.keep_or_forget(rig, found)
    return Trial(arena.name, str(fault), fired, time.monotonic() - began, tuple(map(str, found)))


def _prepare(rig: Rig, arena: Arena) -> None:
    """Give it a queue that has been used before, and something new to do."""
    if arena.template is not None:
        shutil.copytree(arena.template, rig.root, dirs_exist_ok=True)
    tone(rig.root / "a" / "one.wav", 1.0)


def _see_through(rig: Rig, deadline: float) -> list[Finding]:
    """Submit the item and follow it to its end, starting the core again whenever it has died."""
    task: str | None = None
    for _ in range(STARTS):
        if rig.pid and rig.alive and (task := _follow(rig, task, deadline)) and _is_over(rig, deadline):
            return []
        if time.monotonic() > deadline:
            break
        rig.wait(deadline - time.monotonic())
        rig.end()
        rig.orders.disarm()
        rig.start()
    return [Finding("stuck", "it did not come to rest")]


def _follow(rig: Rig, task: str | None, deadline: float) -> str | None:
    """Submit until that is acknowledged, then wait for the task's end; the task, once there is one."""
    with suppress(GoneError):
        rig.until(lambda: rig.ask("GET", "/healthz"), deadline - time.monotonic())
        while task is None and time.monotonic() < deadline:
            task = rig.post("a")
            time.sleep(LOOK_S)
        rig.until(lambda: task and rig.look(task) in ENDED, deadline - time.monotonic())
    return task


def _is_over(rig: Rig, deadline: float) -> bool:
    return rig.until(rig.is_at_rest, deadline - time.monotonic())
