"""A corpus becomes the same workloads every time."""

from pathlib import Path

from benchmarks.workloads import Recording, fitting, in_turn


def recording(name: str, seconds: float) -> Recording:
    """Return a recording whose name says language and kind."""
    language, kind, _ = name.split("-")
    return Recording(Path(name), language, seconds, kind, "text")


CORPUS = [
    recording("en-read-1", 70),
    recording("en-read-2", 80),
    recording("en-phone-1", 100),
    recording("fr-read-1", 90),
    recording("fr-long-1", 500),
]


def names(found: list[Recording]) -> list[str]:
    return [each.path.name for each in found]


def test_languages_and_kinds_take_turns() -> None:
    """No language and no kind of recording makes up a workload alone."""
    assert names(in_turn(CORPUS)) == ["en-phone-1", "fr-long-1", "en-read-1", "fr-read-1", "en-read-2"]


def test_what_does_not_fit_is_passed_over() -> None:
    """A recording of ten minutes does not end a choice of five."""
    assert names(fitting(in_turn(CORPUS), 300)) == ["en-phone-1", "en-read-1", "fr-read-1"]


def test_the_order_of_the_corpus_changes_nothing() -> None:
    """A manifest may be sorted as it likes."""
    assert in_turn(CORPUS[::-1]) == in_turn(CORPUS)
