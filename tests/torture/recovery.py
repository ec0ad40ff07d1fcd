"""How long it takes to be well again: endless generators of seconds, each with a service of its own."""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import TYPE_CHECKING

from pipeline.queue.database import open_database
from pipeline.queue.records import NewFile
from pipeline.queue.store import TaskStore
from pipeline.tasks import FileState, Fingerprint, Source
from tests.acceptance.harness import Service, free_port, tone, until
from tests.torture.afterwards import Afterwards
from tests.torture.small_disk import SmallDisk
from tests.torture.zombies import FILES, Zombie

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.torture.arena import Arena
    from tests.torture.rig import Rig

PATIENCE_S = 60.0
LOOK_S = 0.02
ROWS = 100_000
AT_ONCE = 5_000
STOCK, MORE = 30, 10  # files to begin with, and for each death
FULL_S = 5.0  # for the service to meet a full disk
SLOWLY = {"WHISPER_FAKE_DELAY": "0.4", "WHISPER_FAKE_BATCH": "1"}


def child(arena: Arena) -> Iterator[float]:
    """Kill the child again and again while it is on a file; yield the times until a file is leased anew."""
    rig = arena.rig("child", env=SLOWLY)
    try:
        for number in itertools.count():
            for each in range(STOCK if number == 0 else MORE):
                tone(rig.root / "a" / f"{number}-{each}.wav", 0.2, 200.0 + STOCK * number + each)
            if number == 0:
                assert rig.serve(PATIENCE_S)
            yield _kill_child(rig)
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


def machine(arena: Arena) -> Iterator[float]:
    """Have a second stage fall silent, each time on a service of its own; yield the times until it has heirs."""
    for number in itertools.count():
        yield _silence(arena, number)


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


def stop(arena: Arena) -> Iterator[float]:
    """Stop a service that is on a file, again and again; yield the times until it had ended."""
    rig = arena.rig("stop", env=SLOWLY | {"WHISPER_FAKE_DELAY": "1"})
    tone(rig.root / "a" / "long.wav", 25.0)
    try:
        while True:
            yield _stop(rig)
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


def core(arena: Arena) -> Iterator[float]:
    """Kill a core with many rows again and again; yield the times until the next one answered and was ready."""
    workdir = arena.folder / "many" / "workdir"
    _fill(workdir)
    service = Service(workdir, "--engine", "fake", "--no_vad")
    try:
        while True:
            yield _kill_core(service)
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


def full(arena: Arena) -> Iterator[float]:
    """Have a file come while the disk is full, queue and all; yield the times from new room to its transcript."""
    rig = arena.rig("full")
    disk = SmallDisk(rig.root, rig.folder)
    assert disk.is_there, "only root may mount a small disk"
    try:
        assert rig.serve(PATIENCE_S)
        for number in itertools.count():
            yield _fill_up(rig, disk, number)
    finally:
        rig.end()
        disk.close(rig.folder / "kept")


def _fill_up(rig: Rig, disk: SmallDisk, number: int) -> float:
    for old in (rig.root / "a").glob(f"{number - 1}.*"):
        old.unlink()
    path = rig.root / "a" / f"{number}.wav"
    hidden = tone(path.with_name(f".{path.name}"), 0.3, 200.0 + number)
    disk.fill(("bytes", "names")[number % 2])
    hidden.rename(path)
    time.sleep(FULL_S)
    assert rig.alive
    assert not path.with_suffix(".json").exists()
    disk.free()
    began = time.monotonic()
    assert rig.until(path.with_suffix(".json").exists, PATIENCE_S, LOOK_S), rig.log.read_text()
    return time.monotonic() - began
