"""An hour's benchmark: systems take turns, and only those that could win run in every round."""

import argparse

from benchmarks.bench import plan, wanted

CHOSEN = {"rounds": 3, "workload": "long,short,hour,alone", "only": "", "skip": "", "full": False}


def planned(**changes: object) -> list[tuple[str, str, int]]:
    """Return (system, workload, round) in the order in which they are measured."""
    chosen = argparse.Namespace(**(CHOSEN | changes))
    return [(system.name, workload, number) for system, workload, number in plan(chosen)]


def test_rounds_are_interleaved() -> None:
    """No system runs twice on a workload before the others had their turn: the machine's moods hit all alike."""
    rounds = [number for _, _, number in planned()]
    assert rounds == sorted(rounds)
    assert len(set(planned())) == len(planned())


def test_ours_and_the_fastest_peers_run_in_every_round() -> None:
    """A median needs three of them."""
    for name in ("ours, greedy", "ours, beam 5", "faster-whisper, batched 8, int8, beam 5"):
        assert [number for system, workload, number in planned() if (system, workload) == (name, "long")] == [
            1,
            2,
            3,
        ]


def test_slow_systems_and_the_hour_run_once() -> None:
    """Else the benchmark would take a day; the full one does."""
    slow = ("openai-whisper, its command line's defaults", "short")
    assert [number for *what, number in planned() if tuple(what) == slow] == [1]
    assert {number for _, workload, number in planned() if workload == "hour"} == {1}
    assert [number for *what, number in planned(full=True) if tuple(what) == slow] == [1, 2, 3]


def test_each_beam_of_ours_has_peers_with_the_same() -> None:
    """Greedy is compared with greedy, beam 5 with beam 5."""
    for beam in ("beam 1", "beam 5"):
        assert [name for name, workload, _ in planned(only=beam, skip="our") if workload == "alone"] != []


def test_systems_are_chosen_by_parts_of_their_names() -> None:
    """`--skip` is stronger than `--only`."""
    names = ["ours, greedy", "ours, beam 5", "theirs, beam 5"]
    assert [name for name in names if wanted(name, "ours; theirs", "beam 5")] == ["ours, greedy"]
    assert [name for name in names if wanted(name, "", "")] == names
