"""Lane: a stage is stopped past its leases and resumed; whatever it then brings is refused."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.acceptance.harness import free_port, tone
from tests.torture.afterwards import Afterwards
from tests.torture.checker import Finding, judge
from tests.torture.ledger import Trial
from tests.torture.zygote import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.torture.arena import Arena
    from tests.torture.rig import Rig

ROUNDS = 10_000
FILES = 60
PATIENCE_S = 60.0
LOOK_S = 0.25  # at the database
SLOWLY = {"WHISPER_FAKE_DELAY": "0.05", "WHISPER_FAKE_BATCH": "16"}  # so that its leases are out for a while


def points(_arena: Arena, seed: int) -> list[int]:
    """Return the seeds of as many rounds as anybody may want."""
    return [seed * ROUNDS + each for each in range(ROUNDS)]


def trial(arena: Arena, seed: int) -> Trial:
    """Stop a stage that holds leases, let others have them, resume it, and look how it was answered."""
    began = time.monotonic()
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    rig = arena.rig(f"zombie-{seed}", env=SLOWLY, flags=("--relay_bind", endpoint))
    for number in range(FILES):
        tone(rig.root / "a" / f"{number}.wav", 0.2, 200.0 + seed % 1000 * FILES + number)
    zombie = Zombie(rig, endpoint, arena.zygote.env)
    try:
        rig.serve(PATIENCE_S)
        zombie.die_for_a_while(random.Random(seed).uniform(0, 0.3))  # noqa: S311 - replayable
        rig.until(rig.is_at_rest, PATIENCE_S)
        refused = zombie.wait_for_answers()
    finally:
        zombie.close()
        rig.end()
    found = [*judge(rig.root, rig.database_url, rig.history.answers), *zombie.findings()]
    arena.keep_or_forget(rig, found)
    return Trial(arena.name, str(seed), refused, time.monotonic() - began, tuple(map(str, found)))


class Zombie:
    """A second stage of a rig, stopped and resumed."""

    def __init__(self, rig: Rig, endpoint: str, env: dict[str, str]) -> None:
        self._rig = rig
        self._answers = rig.folder / "answers"
        flags = {
            "connect": endpoint,
            "workdir": rig.root,
            "cache": rig.folder,
            "engine": "fake",
            "threads": 1,
        }
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.torture.zombie_stage"),
                *(word for name, value in flags.items() for word in (f"--{name}", str(value))),
            ],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=os.environ | env | SLOWLY | {"TORTURE_ANSWERS": str(self._answers), "LD_PRELOAD": ""},
        )
        self._stale: set[tuple[int, int]] = set()  # (file, token) of the leases that it lost

    def die_for_a_while(self, after: float) -> None:
        """Stop once it has leases, until they are somebody else's."""
        self.wait_for_leases()
        time.sleep(after)
        self.fall_silent()
        self._rig.until(lambda: not self._leases(), PATIENCE_S, LOOK_S)
        self._process.send_signal(signal.SIGCONT)

    def wait_for_leases(self) -> None:
        """Wait until it has been given something to do."""
        assert self._rig.until(self._leases, PATIENCE_S)

    def fall_silent(self) -> float:
        """Stop it; return when, in monotonic seconds."""
        self._process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        self._stale = set(self._leases())
        return stopped

    def has_heirs(self) -> bool:
        """Tell whether somebody else has leased a file that it had."""
        attempts = Afterwards.read(self._rig.database_url).attempts
        heirs = {(file_id, token + 1) for file_id, token in self._stale}
        return any((each["file_id"], each["token"]) in heirs for each in attempts)

    def wait_for_answers(self) -> int:
        """Wait until it was answered for what it had finished; return how many results were refused."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not self._refused():
            time.sleep(0.1)
        time.sleep(0.5)  # the others come with the first
        return self._refused()

    def findings(self) -> Iterator[Finding]:
        """Yield what it was allowed to bring in too late, and every answer that the database contradicts."""
        done = {
            (each["file_id"], each["token"])
            for each in Afterwards.read(self._rig.database_url).attempts
            if each["outcome"] == "done"
        }
        for _epoch, token, file_id, outcome in self._said():
            if (
                outcome == "committed" and (file_id, token) in self._stale - done
            ):  # not one that was on its way
                yield Finding("duplicate", f"file {file_id}: a result of the lost lease {token} was taken")
            if outcome == "stale" and (file_id, token) in done:
                yield Finding("lost", f"file {file_id}: a result that was taken was called stale")

    def close(self) -> None:
        """Kill it, child and all."""
        self._process.kill()
        self._process.wait()

    def _leases(self) -> list[tuple[int, int]]:
        worker = _text(self._answers.with_suffix(".worker"))
        rows = Afterwards.read(self._rig.database_url).files
        return [
            (row["id"], row["token"]) for row in rows if row["state"] == "leased" and row["worker"] == worker
        ]

    def _refused(self) -> int:
        """Count the leases whose results were refused; one that is sent again is refused again."""
        return len({(file_id, token) for _, token, file_id, outcome in self._said() if outcome == "stale"})

    def _said(self) -> list[tuple[int, int, int, str]]:
        return [tuple(json.loads(line)) for line in _text(self._answers).splitlines()]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
