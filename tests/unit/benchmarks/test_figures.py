"""Figures follow from measurements: medians, pooled error rates, the peer to beat."""

from typing import Any

import pytest

from benchmarks.figures import best_peer, figures


def run(system: str, wall_s: float, **changes: Any) -> dict[str, Any]:
    """Return a measurement of 100 s of audio in two recordings."""
    run = {
        "system": system,
        "workload": "long",
        "round": 1,
        "beam": 1,
        "audio_s": 100.0,
        "wall_s": wall_s,
        "cpu_s": 2 * wall_s,
        "peak_bytes": 1000,
        "scores": {"a": [1, 100], "b": [9, 100]},
    }
    return run | changes


def test_a_systems_speed_is_the_median_of_its_rounds() -> None:
    """And the range is kept beside it."""
    (found,) = figures([run("x", 10.0), run("x", 5.0), run("x", 2.0)], "long")
    assert (found.speed, sorted(found.speeds)) == (20.0, [10.0, 20.0, 50.0])


def test_error_rates_are_pooled_over_words() -> None:
    """Not averaged over recordings or rounds."""
    found = figures([run("x", 1.0), run("x", 1.0, scores={"a": [0, 100], "b": [0, 0]})], "long")
    assert found[0].wer == pytest.approx(100 * 10 / 300)


def test_systems_are_also_compared_on_what_all_did() -> None:
    """A system that did one recording is not compared with others on two."""
    found = figures([run("x", 1.0), run("y", 2.0, scores={"a": [5, 100]})], "long")
    assert [(each.wer, each.common_wer) for each in found] == [(5.0, 1.0), (5.0, 5.0)]


def test_the_best_peer_is_the_fastest_within_a_point_of_the_lowest_error_rate() -> None:
    """A faster one that makes more errors does not count, nor one with another beam, nor we ourselves."""
    runs = [
        run("ours, greedy", 1.0),
        run("hasty", 2.0, scores={"a": [4, 100], "b": [9, 100]}),
        run("good", 3.0, scores={"a": [2, 100], "b": [9, 100]}),
        run("slow", 4.0),
        run("other", 2.0, beam=5),
    ]
    best = best_peer(figures(runs, "long"), 1)
    assert best is not None
    assert best.system == "good"


def test_a_peer_that_did_only_a_sample_is_not_the_best() -> None:
    """Its error rate is another recording's."""
    best = best_peer(figures([run("whole", 3.0), run("sample", 1.0, scores={"a": [0, 100]})], "long"), 1)
    assert best is not None
    assert best.system == "whole"


def test_what_cannot_be_scored_is_compared_by_speed() -> None:
    """A recording without a text has no error rate."""
    found = figures([run("x", 2.0, scores={}), run("y", 1.0, scores={})], "long")
    best = best_peer(found, 1)
    assert best is not None
    assert (best.system, best.wer) == ("y", None)
