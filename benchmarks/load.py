"""What listeners cost, and how quickly the API answers while a large archive arrives and many listen.

usage: python -m benchmarks.load [--listeners 1000,2000] [--files 10000] [--seconds 120] [--quiet_seconds 30]

The service is a real one with the fake engine; this program, FFmpeg and the service share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import resource
import subprocess
import sys
import tempfile
import time
import wave
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

import httpx2
import psutil

from benchmarks.listeners import Crowd

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
FLAGS = ("--engine", "fake", "--no_vad", "--quiet_seconds", "1", "--threads", "1")
FOLDER_FILES = 100
READERS = 4  # connections that ask without a pause
POST_EVERY_S = 0.2
START_S = 60.0
SETTLE_S = 3.0  # after listeners came or went, before anything is measured


class Service:
    """A running service: its address, and what its core process has used."""

    def __init__(self, workdir: Path, port: int, process: psutil.Process) -> None:
        self.workdir = workdir
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._process = process

    @property
    def megabytes(self) -> float:
        """Resident memory of the core process."""
        return self._process.memory_info().rss / 1e6

    async def busy(self, seconds: float) -> float:
        """Return the share of one processor that the core uses for so long."""
        before, began = sum(self._process.cpu_times()[:2]), time.monotonic()
        await asyncio.sleep(seconds)
        return (sum(self._process.cpu_times()[:2]) - before) / (time.monotonic() - began)


class Load:
    """An archive that arrives, and clients that ask meanwhile."""

    def __init__(self, service: Service, files: int) -> None:
        self.took: dict[str, list[float]] = defaultdict(list)  # seconds by method
        self.refused: dict[int, int] = defaultdict(int)  # by status
        self.written = 0
        self._service = service
        self._files = files
        self._tasks: list[str] = []

    async def run(self, seconds: float) -> None:
        """Go on for so long."""
        async with httpx2.AsyncClient(base_url=self._service.url, timeout=30) as client:
            asking = [self._read(client) for _ in range(READERS)] + [
                self._post(client),
                self._arrive(seconds),
            ]
            doing = [asyncio.ensure_future(each) for each in asking]
            await asyncio.wait(doing, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            for each in doing:
                each.cancel()
            ended = await asyncio.gather(*doing, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _arrive(self, seconds: float) -> None:
        """Copy the archive in, folder by folder, over the first half of the time."""
        pause = seconds / 2 / max(1, self._files // FOLDER_FILES)
        for number in range(0, self._files, FOLDER_FILES):
            await asyncio.to_thread(write, self._service.workdir / f"archive{number:06d}", FOLDER_FILES)
            self.written += FOLDER_FILES
            await asyncio.sleep(pause)

    async def _read(self, client: httpx2.AsyncClient) -> None:
        while True:
            paths = ["/monitoring?limit=50", "/monitoring?status=running&limit=10", "/healthz"]
            paths += [f"/monitoring/{random.choice(self._tasks)}?limit=100"] if self._tasks else []  # noqa: S311
            answer = await self._ask(client, "GET", random.choice(paths))  # noqa: S311 - any will do
            if "tasks" in answer:
                self._tasks = [each["task_id"] for each in answer["tasks"]] or self._tasks

    async def _post(self, client: httpx2.AsyncClient) -> None:
        for number in itertools.count():
            folder = self._service.workdir / f"posted{number:05d}"
            await asyncio.to_thread(write, folder, 1)
            await self._ask(client, "POST", "/transcription", {"dirname": folder.name})
            await asyncio.sleep(POST_EVERY_S)

    async def _ask(
        self, client: httpx2.AsyncClient, method: str, path: str, body: object = None
    ) -> dict[str, list[dict[str, str]]]:
        began = time.perf_counter()
        answer = await client.request(method, path, json=body)
        self.took[method].append(time.perf_counter() - began)
        if answer.status_code >= 400:
            self.refused[answer.status_code] += 1
            return {}
        said: dict[str, list[dict[str, str]]] = answer.json()
        return said


def main() -> None:
    """Measure both and print tables for docs/clients.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listeners", default="1000,2000")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--quiet_seconds", type=float, default=30)
    chosen = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sizes = [int(word) for word in chosen.listeners.split(",")]
    with started() as service:
        asyncio.run(listen(service, sizes, chosen.quiet_seconds))
    if chosen.files:
        with started() as service:
            asyncio.run(load(service, sizes[0], chosen.files, chosen.seconds))


async def listen(service: Service, sizes: list[int], seconds: float) -> None:
    """Print what listeners cost while nothing happens."""
    print("| listeners | core, MB | more than without, KB each | core, share of a CPU |\n|---|---|---|---|")
    crowd, alone = Crowd(service.port), 0.0
    for size in [0, *sizes]:
        await crowd.grow(size)
        await asyncio.sleep(SETTLE_S)
        busy, megabytes = await service.busy(seconds), service.megabytes
        alone = megabytes if size == 0 else alone
        each = f"{(megabytes - alone) * 1000 / size:.0f}" if size else ""
        print(f"| {size:,} | {megabytes:.0f} | {each} | {busy:.1%} |", flush=True)
    lost = (await crowd.heard()).lost
    assert lost == 0, f"{lost} listeners were cut off"  # noqa: S101 - invariant
    await crowd.leave()
    await asyncio.sleep(SETTLE_S)
    print(f"| 0 again | {service.megabytes:.0f} | | |\n", flush=True)


async def load(service: Service, listeners: int, files: int, seconds: float) -> None:
    """Print how quickly the API answers while an archive arrives and so many listen to all of it."""
    crowd, work = Crowd(service.port), Load(service, files)
    await crowd.grow(listeners)
    doing = asyncio.ensure_future(work.run(seconds))
    memory: list[float] = []
    while not doing.done():
        memory.append(service.megabytes)
        await asyncio.wait([doing], timeout=seconds / 8)
    await doing
    print("| | requests | p50, ms | p95, ms | p99, ms | most, ms |\n|---|---|---|---|---|---|")
    for method, took in work.took.items():
        cut = quantiles(took, n=100)
        shown = " | ".join(f"{value * 1000:.1f}" for value in (cut[49], cut[94], cut[98], max(took)))
        print(f"| {method} | {len(took):,} | {shown} |")
    heard = await crowd.heard()
    print(
        f"\n{work.written:,} files written, {heard.events / listeners:,.0f} events to each of {listeners:,} listeners"
        f" ({heard.lost} cut off), refused: {dict(work.refused)};"
        f" core, MB, over time: {', '.join(f'{each:.0f}' for each in memory)}",
        flush=True,
    )


@contextmanager
def started() -> Iterator[Service]:
    """Lend a service on a workdir of its own, ready."""
    with tempfile.TemporaryDirectory() as folder:
        workdir, log = Path(folder) / "workdir", Path(folder) / "log"
        workdir.mkdir()
        command = [sys.executable, str(ROOT / "app.py"), "--workdir", str(workdir), "start-service"]
        with (
            log.open("wb") as out,
            subprocess.Popen([*command, *FLAGS, "--port", "0"], stderr=out) as process,
        ):
            try:
                yield Service(workdir, wait_for_port(log, process), psutil.Process(process.pid))
            finally:
                process.terminate()


def wait_for_port(log: Path, process: subprocess.Popen[bytes]) -> int:
    """Return the port that the log names, once the service is ready."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        _, found, rest = log.read_text(errors="replace").partition("http://127.0.0.1:")
        port = int("".join(itertools.takewhile(str.isdigit, rest))) if found else 0
        if port and httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx2.codes.OK:
            return port
        time.sleep(0.2)
    raise SystemExit(f"the service did not start:\n{log.read_text(errors='replace')[-2000:]}")


def write(folder: Path, files: int) -> None:
    """Write a folder of recordings of a fifth of a second, no two alike."""
    folder.mkdir()
    for number in range(files):
        with wave.open(str(folder / f"{number:03d}.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(16_000)
            out.writeframes(random.randbytes(6400))  # noqa: S311 - sound


if __name__ == "__main__":
    main()
