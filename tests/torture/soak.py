"""`python -m tests.torture.soak --minutes 60`: a service under steady work for long, and whether it grows.

New directories come all the time, some with a file that fails, some POSTed, cancelled or retried; old ones are
removed, so that the workdir stays as large as it is. Somebody lists tasks and asks for single ones, somebody listens,
somebody sends a recording and waits. Memory, descriptors and threads of each process, and the size of the database
and its log, are sampled; what happens in the first quarter is warming up and does not count. A run-in before it fills
what the core keeps up to a limit, which would look like growth for as long as it fills.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import click
import psutil

from benchmarks.queues.rows import fill
from pipeline.queue.database import open_database
from pipeline.queue.store import TaskStore
from tests.acceptance.harness import Service, tone, until

logger = logging.getLogger("soak")

TICK_S = 0.25
SAMPLE_S = 10.0
REMEMBERED = 100_000  # tasks that are done when it begins
FLOODS = 4
FLOOD = 2500  # files: the two events of each fill what is kept for listeners, their paths what is kept of deleted ones
KEPT = 120  # directories: older ones are removed
WARM_UP = 0.25  # of the whole time
LISTEN_S = 60.0  # then the listener connects anew
ROLES = ("core", "supervisor", "child")
MEGA = 1e6
SLOPE_MB_H = 1.0
DESCRIPTORS = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process held at one moment."""

    at: float  # hours since the start
    rss: int
    descriptors: int
    threads: int


class Work:
    """Gives the service something to do, a little each time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._posted: list[str] = []

    def tick(self, number: int) -> None:
        """Do what is due now."""
        if number % 2 == 0:
            self._put(number)
        if number % 7 == 0:
            self._posted.append(self._service.post(f"w{number - number % 2}", priority=1))
        if number % 22 == 0:
            self._service.ask("DELETE", f"/transcription/{self._service.post(f'w{number}')}")
        if number % 13 == 0 and self._posted:
            self._service.ask("POST", f"/transcription/{self._posted[-1]}/retry")
        if number % 40 == 0:
            self._send(number)
        self._ask(number)
        shutil.rmtree(self._service.workdir / f"w{number - KEPT}", ignore_errors=True)

    def _put(self, number: int) -> None:
        folder = self._service.workdir / f"w{number}"
        for each in range(2):
            tone(folder / f"{each}.wav", 0.3, 200.0 + 2 * number + each)
        if number % 10 == 0:
            (folder / "broken.mp3").write_bytes(b"no sound" * 100)

    def _send(self, number: int) -> None:
        """Send a recording as OpenAI's clients do, and wait for its text."""
        sound = tone(self._service.workdir.parent / "sent.wav", 0.3, 100.0 + number).read_bytes()
        part = b"--soak\r\nContent-Disposition: form-data; name="
        form = part + b'"model"\r\n\r\nwhisper-1\r\n' + part + b'"file"; filename="sent.wav"\r\n\r\n'
        url, kind = f"{self._service.url}/v1/audio/transcriptions", "multipart/form-data; boundary=soak"
        request = urllib.request.Request(url, form + sound + b"\r\n--soak--\r\n", {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert "text" in json.load(answer)

    def _ask(self, number: int) -> None:
        paths = ["/readyz", "/monitoring?limit=20", "/metrics" if number % 15 == 0 else "/healthz"]
        paths += [f"/monitoring/{task_id}" for task_id in self._posted[-3:]]
        for path in paths:
            status, answer = self._service.ask("GET", path)
            assert status < 500 or path == "/readyz", (path, answer)


def listen(service: Service) -> None:
    """Listen to the events for good, connecting anew now and then."""
    while True:
        stop = time.monotonic() + LISTEN_S
        try:
            with urllib.request.urlopen(f"{service.url}/monitoring/events", timeout=LISTEN_S) as answer:
                while time.monotonic() < stop and answer.readline():
                    pass
        except OSError as error:
            logger.info("the listener was cut off: %s", error)
            time.sleep(1.0)


def run_in(service: Service) -> None:
    """Fill what the core keeps up to a limit: events for listeners, paths of deleted files, pages of the database."""
    for number in range(FLOODS):
        folder = service.workdir / f"flood{number}"
        folder.mkdir()
        for each in range(FLOOD):
            (folder / f"{each}.wav").touch()
        (task,) = until(partial(whole, service, folder.name), 300)
        service.ask("DELETE", f"/transcription/{task['task_id']}")
        shutil.rmtree(folder)
    status, answer = service.ask("POST", "/forget", {"path": "nothing"})  # reads all rows, and erases none
    assert status == 200, answer


def whole(service: Service, dirname: str) -> list[dict[str, Any]]:
    """Return the task of a flood once all of its files were found."""
    return [each for each in service.tasks(dirname) if sum(each["counts"].values()) == FLOOD]


def soak(service: Service, seconds: float) -> tuple[dict[str, list[Sample]], dict[str, list[int]]]:
    """Work for so long; return the samples of each process and the sizes of the database's files."""
    began = time.monotonic()
    work, samples = Work(service), defaultdict(list)
    sizes: dict[str, list[int]] = defaultdict(list)
    number, due = 0, began
    while (now := time.monotonic()) < began + seconds:
        work.tick(number)
        if now >= due:
            due += SAMPLE_S
            for role in ROLES:
                samples[role] += sampled(service, role, (now - began) / 3600)
            for file in (service.workdir / ".whisper").glob("queue.db*"):
                sizes[file.name].append(file.stat().st_size)
        number += 1
        time.sleep(max(0.0, began + number * TICK_S - time.monotonic()))
    return samples, sizes


def remember(workdir: Path) -> None:
    """Begin with a queue that has much behind it: SQLite's caches fill early then, and grow no more."""
    database = open_database(f"sqlite:///{workdir / '.whisper' / 'queue.db'}")
    TaskStore(database).open_epoch()
    database.write(lambda connection: fill(connection, REMEMBERED, waiting=False))
    database.close()


def sampled(service: Service, role: str, at: float) -> list[Sample]:
    """Look at a process; nothing of one that is just being replaced."""
    try:
        process = service.find(role)
        with process.oneshot():
            return [Sample(at, process.memory_info().rss, process.num_fds(), process.num_threads())]
    except (AssertionError, psutil.Error):
        return []


def slope(samples: list[Sample]) -> float:
    """Return by how many MB memory grows in an hour: the median over all pairs, which a single step does not move."""
    pairs = [(b.rss - a.rss) / (b.at - a.at) for a, b in combinations(samples, 2) if b.at > a.at]
    return median(pairs) / MEGA if pairs else 0.0


def verdict(role: str, samples: list[Sample]) -> bool:
    """Say how a process fared once it was warm; tell whether that is good."""
    warm = [each for each in samples if each.at >= WARM_UP * samples[-1].at]
    quarter = max(1, len(warm) // 4)  # a few descriptors come and go with each FFmpeg: what is held tells
    held = [median(each.descriptors for each in part) for part in (warm[:quarter], warm[-quarter:])]
    grows = slope(warm)
    good = grows <= SLOPE_MB_H and abs(held[1] - held[0]) <= DESCRIPTORS
    logger.info(
        "%-10s %4.0f -> %4.0f MB, %+.2f MB/h; descriptors %d to %d; threads %d to %d: %s",
        role,
        *(each.rss / MEGA for each in (warm[0], warm[-1])),
        grows,
        *(pick(each.descriptors for each in warm) for pick in (min, max)),
        *(pick(each.threads for each in warm) for pick in (min, max)),
        "good" if good else "GROWS",
    )
    return good


@click.command(help=__doc__)
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="write the samples there")
def main(minutes: float, keep: Path | None) -> None:
    """Soak, then judge; exit 1 when something grows."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        workdir = Path(folder) / "workdir"
        remember(workdir)
        service = Service(workdir, "--engine", "fake", "--no_vad", "--quiet_seconds", "2").start()
        try:
            threading.Thread(target=listen, args=(service,), daemon=True).start()
            run_in(service)
            samples, sizes = soak(service, 60 * minutes)
            listed = service.ask("GET", "/monitoring?limit=500")[1]["tasks"]
        finally:
            service.stop(60)
    for name, every in sorted(sizes.items()):
        logger.info("%-16s %.1f MB at the end, %.1f at most", name, every[-1] / MEGA, max(every) / MEGA)
    logger.info("tasks: %d and more", len(listed))
    if keep:
        keep.write_text(
            json.dumps({role: [asdict(each) for each in found] for role, found in samples.items()})
        )
    good = [verdict(role, samples[role]) for role in ROLES]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
