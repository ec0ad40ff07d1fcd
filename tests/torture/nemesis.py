"""Lane: people and fate at work on one service for some seconds, then peace; the same seed does the same again."""

from __future__ import annotations

import itertools
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.acceptance.harness import free_port
from tests.torture.checker import judge
from tests.torture.harm import Harm
from tests.torture.ledger import Trial
from tests.torture.proxy import Proxy
from tests.torture.rig import GoneError
from tests.torture.user import User

if TYPE_CHECKING:
    from tests.torture.arena import Arena
    from tests.torture.checker import Finding
    from tests.torture.rig import Rig

KINDS = (
    *("everything", "kill", "stop", "link", "clock", "overflow", "watches"),
    *("full", "mount", "readonly"),  # where we may mount
)
ROUNDS = 200
DEEDS = 24  # of people, in one scenario
PAUSE_S = 0.6  # between two deeds, at most
HARM = 0.4  # of the pauses hold one
PEACE_S = 60.0  # for all to be well again


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens in one scenario follows from this alone, but for the time that things take."""

    seed: int
    kind: str

    def __str__(self) -> str:
        return f"{self.kind}, seed {self.seed}"


def points(_arena: Arena, seed: int) -> list[Scenario]:
    """Return scenarios without end, nearly: everything together, and each kind of harm alone."""
    return [Scenario(seed * ROUNDS + each, kind) for each, kind in itertools.product(range(ROUNDS), KINDS)]


def trial(arena: Arena, scenario: Scenario) -> Trial:
    """Let it happen, make peace, and judge what is there once all is well, or should be."""
    began = time.monotonic()
    chance = random.Random(str(scenario))  # noqa: S311 - replayable
    relay = free_port()
    proxy = Proxy(relay)
    rig = arena.rig(
        str(scenario),
        elsewhere=True,
        env={"TORTURE_PROXY": proxy.endpoint},
        flags=("--relay_bind", f"tcp://127.0.0.1:{relay}"),
    )
    harm = Harm(rig, proxy, chance, arena.haste)
    user = User(rig, chance, harm.disk.door)
    try:
        struck = _play(rig, user, harm, scenario, chance)
        found = _make_peace(rig, user, harm)
    finally:
        rig.end()
        harm.close()
        proxy.close()
    arena.keep_or_forget(rig, found)
    return Trial(arena.name, str(scenario), struck, time.monotonic() - began, tuple(map(str, found)))


def _play(rig: Rig, user: User, harm: Harm, scenario: Scenario, chance: random.Random) -> int:
    kinds = [each for each in harm.kinds if scenario.kind in (each, "everything")]
    struck = 0
    rig.start()
    for _ in range(DEEDS):
        chance.choice(user.deeds)()
        time.sleep(chance.uniform(0, PAUSE_S))
        if kinds and chance.random() < HARM:
            harm.kinds[chance.choice(kinds)]()
            struck += 1
        _keep_alive(rig)
    return struck


def _keep_alive(rig: Rig) -> None:
    if not rig.alive:
        rig.end()
        rig.start()


def _make_peace(rig: Rig, user: User, harm: Harm) -> list[Finding]:
    """Heal, and wait until the judge has nothing to say; return what it says in the end."""
    user.finish()
    harm.heal()
    user.mend()
    deadline = time.monotonic() + PEACE_S
    with suppress(GoneError):
        rig.ask("POST", "/rescan")
    while time.monotonic() < deadline and (not rig.is_at_rest() or _findings(rig, user)):
        time.sleep(0.5)
        _keep_alive(rig)
    rig.end()
    return _findings(rig, user)


def _findings(rig: Rig, user: User) -> list[Finding]:
    return judge(rig.root, rig.database_url, rig.history.answers, gone=user.gone, litter=True)
