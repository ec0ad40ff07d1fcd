"""The chart of docs/benchmarks.md: real-time factors by system, drawn with the peers' matplotlib.

usage: chart.py RESULTS.json CHART.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib import pyplot as plt

TITLES = {
    "long": "Long recordings, end to end",
    "short": "Short recordings, end to end",
    "alone": "Engines alone",
}
OURS, PEER = "#1f77b4", "#9aa5b1"


def main(results: Path, chart: Path) -> None:
    """Draw one panel a workload."""
    plt.switch_backend("svg")
    plt.rcParams |= {"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9}
    runs = json.loads(results.read_text())["runs"]
    panels = {name: bars(runs, name) for name in TITLES if bars(runs, name)}
    heights = [len(each) for each in panels.values()]
    figure, axes = plt.subplots(
        len(panels),
        figsize=(8, 0.28 * sum(heights) + 0.9 * len(panels)),
        height_ratios=heights,
        squeeze=False,
    )
    for axis, (name, found) in zip(axes[:, 0], panels.items(), strict=True):
        draw(axis, TITLES[name], found)
    figure.tight_layout()
    figure.savefig(chart, metadata={"Date": None})


def bars(runs: list[dict[str, Any]], workload: str) -> list[tuple[str, list[float]]]:
    """Return each system's real-time factors, the slowest first."""
    speeds: dict[str, list[float]] = {}
    for run in runs:
        if run["workload"] == workload:
            speeds.setdefault(run["system"], []).append(run["audio_s"] / run["wall_s"])
    return sorted(speeds.items(), key=lambda each: median(each[1]))


def draw(axis: Any, title: str, found: list[tuple[str, list[float]]]) -> None:
    """Draw medians as bars, with their ranges."""
    names = [name for name, _ in found]
    middle = [median(speeds) for _, speeds in found]
    low = [value - min(speeds) for value, (_, speeds) in zip(middle, found, strict=True)]
    high = [max(speeds) - value for value, (_, speeds) in zip(middle, found, strict=True)]
    colours = [OURS if name.startswith("our") else PEER for name in names]
    drawn = axis.barh(names, middle, xerr=[low, high], color=colours, error_kw={"lw": 0.8})
    axis.bar_label(drawn, fmt="%.1f", padding=4)
    axis.set_title(f"{title} (seconds of audio a second)", loc="left")
    axis.margins(x=0.1)
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
