"""Measurements are kept as they are taken, and reported as they are."""

from pathlib import Path

from benchmarks.report import BEGIN, END, write
from benchmarks.results import Results

RUN = {
    "system": "x",
    "workload": "long",
    "round": 1,
    "beam": 1,
    "audio_s": 60.0,
    "wall_s": 2.0,
    "cpu_s": 4.0,
    "peak_bytes": 10**9,
    "scores": {"en/a": [1, 50]},
}
MACHINE = {"processor": "P", "cores": 2, "features": [], "memory_gb": 1.0, "torch": "2", "python": "3"}


def test_an_interrupted_run_has_what_was_measured(tmp_path: Path) -> None:
    """Another process reads what this one had added, and goes on with what is missing."""
    Results(tmp_path / "results.json", resume=False).add(RUN)
    again = Results(tmp_path / "results.json", resume=True)
    assert again.runs == [RUN]
    assert (again.has("x", "long", 1), again.has("x", "long", 2)) == (True, False)


def test_a_new_run_begins_with_nothing(tmp_path: Path) -> None:
    """Figures of an older engine do not mix with today's."""
    Results(tmp_path / "results.json", resume=False).add(RUN)
    assert Results(tmp_path / "results.json", resume=False).runs == []


def test_the_report_replaces_what_is_between_the_markers(tmp_path: Path) -> None:
    """And nothing else; written twice it is the same."""
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    content = {"machine": MACHINE, "threads": 2, "peers": [], "runs": [RUN]}
    write(content, document)
    first = document.read_text()
    write(content, document)
    assert document.read_text() == first
    assert (first.startswith("before\n"), first.endswith("after\n"), "old" in first) == (True, True, False)
    assert "| **x** | 30.0 (once) |  | 2.00 | 2.00 | 1.00 | 2.00 |" in first
