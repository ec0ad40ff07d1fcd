"""Times that were measured, one line of JSON each: a run that was cut off goes on where it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Measures:
    """The seconds that things took, in this run and in those before it."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resume:
            path.unlink(missing_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else ()
        self._all = [json.loads(line) for line in lines]

    def add(self, what: str, seconds: float) -> None:
        """Keep one."""
        entry = {"what": what, "seconds": round(seconds, 4)}
        self._all.append(entry)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def of(self, what: str) -> list[float]:
        """Return those of one kind, the shortest first."""
        return sorted(each["seconds"] for each in self._all if each["what"] == what)

    def p99(self, what: str) -> float:
        """Return what 99 of 100 did not exceed."""
        times = self.of(what)
        return times[-(len(times) // 100) - 1]

    def shown(self, what: str) -> str:
        """Return a line for people."""
        times = self.of(what)
        middle, p99 = times[len(times) // 2], self.p99(what)
        return f"{what}: {len(times)} times, p50 {middle:.2f} s, p99 {p99:.2f} s, worst {times[-1]:.2f} s"
