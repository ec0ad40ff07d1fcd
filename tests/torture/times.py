"""`python -m tests.torture.times`: how long recovery takes, with the program's own times and a fake engine.

child     a transcriber is killed -> its file is leased again
machine   a stage falls silent while its connection stands -> a file that it had is leased by another one
stop      SIGTERM -> exit, with a file in progress; no attempt is charged
core      a core is killed -> the next one answers and is ready, with 100,000 rows in the queue
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from pipeline.queue.database import open_database
from pipeline.queue.records import NewFile
from pipeline.queue.store import TaskStore
from pipeline.tasks import FileState, Fingerprint, Source
from tests.acceptance.harness import Service, free_port, tone, until
from tests.torture.afterwards import Afterwards
from tests.torture.arena import Arena
from tests.torture.zombies import FILES, Zombie

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.torture.rig import Rig

logger = logging.getLogger("times")

PATIENCE_S = 60.0
LOOK_S = 0.02
ROWS = 100_000
AT_ONCE = 5_000
SLOWLY = {"WHISPER_FAKE_DELAY": "0.4", "WHISPER_FAKE_BATCH": "1"}


def child(arena: Arena, count: int) -> list[float]:
    """Kill the child again and again while it is on a file; return the times until a file is leased anew."""
    rig = arena.rig("child", env=SLOWLY)
    for number in range(3 * count + 10):
        tone(rig.root / "a" / f"{number}.wav", 0.2, 200.0 + number)
    try:
        assert rig.serve(PATIENCE_S)
        return [_kill_child(rig) for _ in range(count)]
    finally:
        rig.end()


def _kill_child(rig: Rig) -> float:
    assert rig.until(lambda: _done(rig) > 0 and _leases(rig) and rig.find("child"), PATIENCE_S)
    done, leases = _done(rig), _leases(rig)
    rig.signal("child", signal.SIGKILL)
    killed = time.time()
    assert rig.until(lambda: _leases(rig) > leases, PATIENCE_S, LOOK_S)
    anew = time.time() - killed
    assert rig.until(lambda: _done(rig) > done, PATIENCE_S), "it works again"
    return anew


def _leases(rig: Rig) -> int:
    return len(Afterwards.read(rig.database_url).attempts)


def _done(rig: Rig) -> int:
    return sum(row["state"] == "done" for row in Afterwards.read(rig.database_url).files)


def machine(arena: Arena, count: int) -> list[float]:
    """Have a second stage fall silent, each time on a service of its own."""
    return [_silence(arena, number) for number in range(count)]


def _silence(arena: Arena, number: int) -> float:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    rig = arena.rig(f"machine-{number}", env=SLOWLY, flags=("--relay_bind", endpoint))
    for each in range(FILES):
        tone(rig.root / "a" / f"{each}.wav", 0.2, 200.0 + each)
    zombie = Zombie(rig, endpoint, arena.zygote.env)
    try:
        assert rig.serve(PATIENCE_S)
        zombie.wait_for_leases()
        silent = zombie.fall_silent()
        assert rig.until(zombie.has_heirs, PATIENCE_S)
        return time.monotonic() - silent
    finally:
        zombie.close()
        rig.end()


def stop(arena: Arena, count: int) -> list[float]:
    """Stop a service that is on a file, again and again; return the times until it had ended."""
    rig = arena.rig("stop", env=SLOWLY | {"WHISPER_FAKE_DELAY": "1"})
    tone(rig.root / "a" / "long.wav", 25.0)
    try:
        return [_stop(rig) for _ in range(count)]
    finally:
        rig.end()


def _stop(rig: Rig) -> float:
    tone(rig.root / "a" / f"{time.monotonic_ns()}.wav", 0.5, time.monotonic_ns() % 10_000)
    assert rig.serve(PATIENCE_S)
    assert rig.until(
        lambda: any(r["state"] == "leased" for r in Afterwards.read(rig.database_url).files), PATIENCE_S
    )
    began = time.monotonic()
    os.kill(rig.pid, signal.SIGTERM)
    assert rig.wait(PATIENCE_S)
    took = time.monotonic() - began
    charged = [
        row for row in Afterwards.read(rig.database_url).files if row["state"] != "done" and row["attempts"]
    ]
    assert not charged, "a stop charges nobody"
    return took


def core(arena: Arena, count: int) -> list[float]:
    """Kill a core with many rows again and again; return the times until the next one answered and was ready."""
    workdir = arena.folder / "many" / "workdir"
    _fill(workdir)
    service = Service(workdir, "--engine", "fake", "--no_vad")
    try:
        return [_kill_core(service) for _ in range(count)]
    finally:
        service.kill()


def _kill_core(service: Service) -> float:
    if service.process:
        service.kill()
    began = time.monotonic()
    service.start(ready=False)
    until(lambda: service.ask("GET", "/readyz")[0] == 200, PATIENCE_S, LOOK_S)
    return time.monotonic() - began


def _fill(workdir: Path) -> None:
    """Make a queue with many rows that are done."""
    database = open_database(f"sqlite:///{workdir / '.whisper' / 'queue.db'}")
    store = TaskStore(database)
    store.open_epoch()
    task, _ = store.open_task(b"old", Source.API, {})
    for begin in range(0, ROWS, AT_ONCE):
        store.add_files(task.id, [_skipped(number) for number in range(begin, begin + AT_ONCE)])
    store.end_task(task.id)
    database.close()


def _skipped(number: int) -> NewFile:
    seen = Fingerprint(1, number)
    return NewFile(path=b"old/%d.wav" % number, fingerprint=seen, state=FileState.SKIPPED, options={})


MEASURED: Mapping[str, Callable[[Arena, int], list[float]]] = {
    "child": child,
    "machine": machine,
    "stop": stop,
    "core": core,
}


@click.command()
@click.argument("what", nargs=-1, type=click.Choice(list(MEASURED)))
@click.option("--count", default=200, show_default=True, help="how often")
def main(what: tuple[str, ...], count: int) -> None:
    """Measure, and print median, 99th percentile and worst."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    with Arena(name="times", haste=1.0) as arena:
        for name in what or tuple(MEASURED):
            times = sorted(MEASURED[name](arena, count))
            p50, p99 = times[len(times) // 2], times[-(len(times) // 100) - 1]
            logger.info(
                "%s: %d times, p50 %.2f s, p99 %.2f s, worst %.2f s", name, count, p50, p99, times[-1]
            )


if __name__ == "__main__":
    main()
