"""What is measured in slices adds up."""

from pathlib import Path

from tests.torture.ledger import Ledger, Trial
from tests.torture.measures import Measures


def test_times_of_an_earlier_slice_count(tmp_path: Path) -> None:
    for seconds in range(1, 201):
        Measures(tmp_path / "times.jsonl", resume=True).add("core", seconds)
    measures = Measures(tmp_path / "times.jsonl", resume=True)
    assert measures.shown("core") == "core: 200 times, p50 101.00 s, p99 198.00 s, worst 200.00 s"


def test_without_resume_times_begin_anew(tmp_path: Path) -> None:
    Measures(tmp_path / "times.jsonl", resume=False).add("core", 1.0)
    assert Measures(tmp_path / "times.jsonl", resume=False).of("core") == []


def test_faults_of_an_earlier_slice_count_for_their_lane(tmp_path: Path) -> None:
    for lane in ("syscalls", "syscalls", "power"):
        Ledger(tmp_path / "trials.jsonl", resume=True).add(Trial(lane, "a point", 6, 1.0))
    ledger = Ledger(tmp_path / "trials.jsonl", resume=True)
    assert (ledger.struck("syscalls"), ledger.struck("power")) == (12, 6)
