"""What came of each trial, one line of JSON each: a run that was cut off goes on where it was."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: what was done, how often a fault struck, how long it took, what the checker found."""

    lane: str
    point: str  # replays it, with the seed
    struck: int
    seconds: float
    findings: tuple[str, ...] = ()


class Ledger:
    """The results of a run and of those before it."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resume:
            path.unlink(missing_ok=True)
        self.trials = list(_read(path))
        self._done = {(trial.lane, trial.point) for trial in self.trials}

    def has(self, lane: str, point: str) -> bool:
        """Tell whether this trial was made."""
        return (lane, point) in self._done

    def struck(self, lane: str) -> int:
        """Return how often a fault struck in a lane."""
        return sum(trial.struck for trial in self.trials if trial.lane == lane)

    def add(self, trial: Trial) -> None:
        """Keep a result."""
        self.trials.append(trial)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(trial)) + "\n")

    def summary(self) -> list[str]:
        """Return one line a lane, and one for each finding."""
        lines = []
        for lane in sorted({trial.lane for trial in self.trials}):
            mine = [trial for trial in self.trials if trial.lane == lane]
            kinds = Counter(finding.split(":")[0] for trial in mine for finding in trial.findings)
            said = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing found"
            lines.append(f"{lane}: {len(mine)} trials, a fault struck {self.struck(lane)} times; {said}")
        return lines + [
            f"  {trial.lane} | {trial.point} | {each}" for trial in self.trials for each in trial.findings
        ]


def _read(path: Path) -> Iterator[Trial]:
    lines: Iterable[str] = path.read_text(encoding="utf-8").splitlines() if path.exists() else ()
    for line in lines:
        values = json.loads(line)
        yield Trial(**values | {"findings": tuple(values["findings"])})
