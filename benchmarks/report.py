"""The results -> the tables of docs/benchmarks.md, between their markers."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.figures import best_peer, figures, ours
from benchmarks.limits import rows

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Figure

BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of figures -->"
TITLES = {
    "long": "Long recordings, end to end",
    "short": "Many short recordings, end to end",
    "hour": "One recording of an hour, end to end",
    "alone": "The engines alone, windows of 30 s",
}
COLUMNS = (
    "system",
    "real-time factor: median (range)",
    "ours, times as fast",
    "WER %",
    "WER %, on what all did",
    "peak memory, GB",
    "cores used",
)
GIGA = 1e9
CHART = "![Real-time factors](benchmarks.svg)"  # chart.py draws it


def write(content: dict[str, Any], document: Path) -> None:
    """Put the tables into the document."""
    text = document.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    document.write_text(f"{head}{BEGIN}\n\n{tables(content)}\n{CHART}\n\n{END}{tail}", encoding="utf-8")


def tables(content: dict[str, Any]) -> str:
    """Return everything that was measured, as Markdown."""
    sections = [machine(content)]
    for workload, title in TITLES.items():
        found = figures(content["runs"], workload)
        if found:
            sections.append(f"### {title}\n\n{audio(content, workload)}{table(found)}")
    if "parts" in content and "limits" in content:
        sections += [parts(content, beam) for beam in content["parts"]["beams"]]
    return "\n\n".join(sections) + "\n"


def machine(content: dict[str, Any]) -> str:
    """Return a paragraph about the machine."""
    facts = content["machine"]
    limits = content.get("limits", {})
    measured = ", ".join(f"{name} {value:.0f}" for name, value in limits.items() if name != "memory")
    text = (
        f"{facts['processor']}, {facts['cores']} cores ({', '.join(facts['features'])}), {facts['memory_gb']} GB; "
        f"{content['threads']} threads for every system; torch {facts['torch']}, Python {facts['python']}; "
        f"peers: {', '.join(each.replace('==', ' ') for each in content['peers'] if is_peer(each))}."
    )
    if limits:
        text += f" Its limits, measured: {measured} (matrix products, GFLOP/s), memory {limits['memory']:.0f} GB/s."
    return text


def is_peer(requirement: str) -> bool:
    """Tell whether a line of pip's list is a system under test."""
    return requirement.startswith(("openai-whisper", "faster-whisper", "ctranslate2", "pywhispercpp"))


def audio(content: dict[str, Any], workload: str) -> str:
    """Return what the workload holds."""
    whole, sample = (content.get("audio", {}).get(name) for name in (workload, f"{workload} sample"))
    if not whole or not sample:
        return ""
    return (
        f"{whole['files']} files, {whole['seconds'] / 60:.1f} minutes; slow systems: {sample['files']} files, "
        f"{sample['seconds'] / 60:.1f} minutes, once.\n\n"
    )


def table(found: list[Figure]) -> str:
    """Return one workload's table; the peer to beat at each beam is bold."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|---|---|---|---|---|---|---|",
    ]
    best = [best_peer(found, beam) for beam in (1, 5)]
    for each in found:
        name = f"**{each.system}**" if each in best else each.system
        cells = [name, spread(each), ratio(each, found), percent(each.wer), percent(each.common_wer)]
        cells += [f"{each.peak_bytes / GIGA:.2f}", f"{each.cpu_share:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *engine_parts(found)])


def spread(each: Figure) -> str:
    """Return a median with its range, where there is one."""
    low, high = min(each.speeds), max(each.speeds)
    once = "once" if len(each.speeds) == 1 else f"{low:.1f} to {high:.1f}"
    return f"{each.speed:.1f} ({once})"


def ratio(each: Figure, found: list[Figure]) -> str:
    """Return how many times as fast our own with the same beam is."""
    own = ours(found, each.beam)
    return "" if own is None or each.is_ours else f"{own.speed / each.speed:.2f}"


def percent(rate: float | None) -> str:
    """Return an error rate."""
    return "" if rate is None else f"{rate:.2f}"


def engine_parts(found: list[Figure]) -> list[str]:
    """Return the parts of engines measured alone, as lines."""
    with_parts = [each for each in found if each.parts]
    if not with_parts:
        return []
    lines = ["", "| engine | mel s | encoder s | decoder s |", "|---|---|---|---|"]
    for each in with_parts:
        cells = [
            f"{each.parts[name]:.2f}" if name in each.parts else "in the encoder"
            for name in ("mel", "encode", "decode")
        ]
        lines.append(f"| {each.system} | {' | '.join(cells)} |")
    return lines


def parts(content: dict[str, Any], beam: str) -> str:
    """Return where our own time goes, part by part, beside what the machine could do at best."""
    facts = content["parts"]
    runs = [
        run
        for run in content["runs"]
        if run["workload"] == "long" and run["system"].startswith("ours") and str(run["beam"]) == beam
    ]
    wall = median(run["wall_s"] for run in runs) if runs else None
    lines = [
        f"### Where our time goes, long recordings, beam {beam}",
        "",
        counts(facts["windows"], facts["beams"][beam]),
        "",
        "| part | seconds a minute of audio | share | at best, by the machine's limits | times that |",
        "|---|---|---|---|---|",
        *rows(content, beam, wall),
    ]
    return "\n".join(lines)


def counts(windows: int, did: dict[str, Any]) -> str:
    """Return what the engine did."""
    done = f"{windows} windows, {did['tokens']} tokens, {did['steps']} decoder steps"
    return f"{done}, batch fill {did['fill']:.0%}."
