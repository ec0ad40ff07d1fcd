"""Recordings mutated at random: whatever FFmpeg makes of them, each ends, soon, and for good."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.examine import examined
from tests.hostile.forge.case import DONE
from tests.hostile.forge.mutants import mutant

FEW = 15
PATIENCE_S = 30.0  # a mutant may declare a rate that makes hours of it
MAY_END = {DONE, "corrupt", "not_media", "no_audio", "empty", "too_long"}


def mutants(seed: int, *, until: float | None) -> Iterator[tuple[str, bytes]]:
    """Yield the mutants of a seed: a few, or as many as there is time for."""
    number = 0
    while time.monotonic() < until if until else number < FEW:
        yield mutant(f"{seed}/{number}")
        number += 1


@pytest.mark.timeout(0)  # as long as --seconds says
def test_a_mutated_recording_ends_for_good(
    tmp_path: Path,
    at_length: bool,
    seed: int,
    pytestconfig: pytest.Config,
    figure: Callable[[str], None],
) -> None:
    """No mutant is worth a second attempt, takes long, or leaves anything; a failure names the one to try again."""
    until = time.monotonic() + pytestconfig.getoption("--seconds") if at_length else None
    ends: Counter[str] = Counter()
    for name, content in mutants(seed, until=until):
        (tmp_path / name).write_bytes(content)
        outcome = examined(tmp_path, name)
        assert (outcome.end in MAY_END, outcome.kind) in ((True, ""), (True, "permanent")), outcome
        assert outcome.took < PATIENCE_S, outcome
        (tmp_path / name).unlink()
        ends[outcome.end] += 1
    assert list(tmp_path.iterdir()) == []
    figure(f"{ends.total()} mutants of seed {seed}: {dict(ends)}")
