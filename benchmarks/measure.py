"""What a tree of processes costs: wall seconds, CPU seconds, peak resident memory."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import psutil

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

EVERY_S = 0.2


class RunError(Exception):
    """A system did not do its work; the message is the end of what it said."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall and CPU seconds between start() and stop(); resident bytes of the whole tree at their highest, ever."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


class Meter:
    """Watches a process and its children.

    Memory that two of them share counts twice; CPU time of children that ended counts as their parents waited for them.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def start(self) -> None:
        """Begin the measurement."""
        self._cpu, self._began = self._cpu_s(), time.perf_counter()

    def stop(self) -> Cost:
        """End the measurement."""
        wall = time.perf_counter() - self._began
        self._look()
        return Cost(wall, self._cpu_s() - self._cpu, self._peak)

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        self._peak = max(self._peak, sum(_ask(each, _resident) for each in self._tree()))

    def _cpu_s(self) -> float:
        return float(sum(_ask(each, _cpu) for each in self._tree()))

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return []


def _ask(process: psutil.Process, question: Any) -> Any:
    try:
        return question(process)
    except psutil.Error:
        return 0  # it ended meanwhile


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def run(command: list[str], environment: dict[str, str], log: Path) -> tuple[Cost, dict[str, Any]]:
    """Run one order (peers/exchange.py): wait until the system is warm, then measure its work."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
        Meter(process.pid) as meter,
    ):
        try:
            _answer(process, log)
            meter.start()
            _go(process)
            answer = _answer(process, log)
            return meter.stop(), answer
        finally:
            if process.poll() is None:
                process.terminate()


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin  # noqa: S101 - opened above
    process.stdin.write("\n")
    process.stdin.flush()


def _answer(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    assert process.stdout  # noqa: S101 - opened above
    line = process.stdout.readline()
    if not line:
        raise RunError(f"exit code {process.wait()}: {log.read_text(errors='replace')[-2000:]}")
    return dict(json.loads(line))
