"""Measurements -> figures: medians, spreads, error rates, and which peer is the one to beat. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

TOLERANCE = 1.0  # points of word error rate above the lowest, within which a peer counts


@dataclass(frozen=True, slots=True)
class Figure:
    """One system on one workload, over all rounds; `speeds` are real-time factors."""

    system: str
    beam: int
    speeds: tuple[float, ...]
    wer: float | None
    common_wer: float | None  # on the recordings that every system did
    scored: int  # recordings
    peak_bytes: int
    cpu_share: float  # of the wall time; 2.0 is two cores
    parts: dict[str, float]  # seconds, of an engine alone

    @property
    def speed(self) -> float:
        """The median real-time factor."""
        return median(self.speeds)

    @property
    def is_ours(self) -> bool:
        """Whether it is the project itself."""
        return self.system.startswith("our")


def figures(runs: list[dict[str, Any]], workload: str) -> list[Figure]:
    """Return the figures of a workload, the fastest first."""
    by_system: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if run["workload"] == workload:
            by_system.setdefault(run["system"], []).append(run)
    scored = [set(every[0]["scores"]) for every in by_system.values()]
    common = set.intersection(*scored) if scored else set()
    found = [figure(name, every, common) for name, every in by_system.items()]
    return sorted(found, key=lambda each: -each.speed)


def figure(system: str, runs: list[dict[str, Any]], common: set[str]) -> Figure:
    """Return the figure of one system's runs; errors are pooled over the rounds."""
    return Figure(
        system=system,
        beam=runs[0]["beam"],
        speeds=tuple(run["audio_s"] / run["wall_s"] for run in runs),
        wer=pooled(runs, None),
        common_wer=pooled(runs, common),
        scored=len(runs[0]["scores"]),
        peak_bytes=max(run["peak_bytes"] for run in runs),
        cpu_share=median(run["cpu_s"] / run["wall_s"] for run in runs),
        parts={
            name: median(run[name] for run in runs) for name in ("mel", "encode", "decode") if name in runs[0]
        },
    )


def pooled(runs: list[dict[str, Any]], among: set[str] | None) -> float | None:
    """Return the word error rate in percent over these recordings; None where nothing was scored."""
    pairs = [pair for run in runs for name, pair in run["scores"].items() if among is None or name in among]
    words = sum(count for _, count in pairs)
    return 100 * sum(wrong for wrong, _ in pairs) / words if words else None


def best_peer(found: list[Figure], beam: int) -> Figure | None:
    """Return the fastest peer with this beam whose error rate is near the lowest of them.

    Of the peers that did the most recordings, so that rates are compared on the same audio.
    """
    peers = [each for each in found if not each.is_ours and each.beam == beam]
    most = max((each.scored for each in peers), default=0)
    peers = [each for each in peers if each.scored == most]
    lowest = min((each.wer for each in peers if each.wer is not None), default=0.0)
    near = [each for each in peers if each.wer is None or each.wer <= lowest + TOLERANCE]
    return max(near, key=lambda each: each.speed, default=None)


def ours(found: list[Figure], beam: int) -> Figure | None:
    """Return our own figure with this beam."""
    return next((each for each in found if each.is_ours and each.beam == beam), None)
