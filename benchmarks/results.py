"""The measurements as a JSON file, written anew after each of them: an interrupted run can be reported."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Results:
    """One benchmark's file.

    {"machine", "threads", "limits", "peers", "parts", "runs": [{"system", "workload", "round", "beam", "audio_s",
    "wall_s", "cpu_s", "peak_bytes", "scores": {recording: [errors, words]}, …}]}
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        self.content: dict[str, Any] = {"runs": []}
        if resume and path.exists():
            self.content = json.loads(path.read_text())

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Every measurement so far."""
        return list(self.content["runs"])

    def has(self, system: str, workload: str, number: int) -> bool:
        """Tell whether this was measured already."""
        key = (system, workload, number)
        return any((run["system"], run["workload"], run["round"]) == key for run in self.content["runs"])

    def add(self, run: dict[str, Any]) -> None:
        """Keep one measurement."""
        self.content["runs"].append(run)
        self._write()

    def note(self, **facts: Any) -> None:
        """Keep what holds for all of them."""
        self.content |= facts
        self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(self.path)
