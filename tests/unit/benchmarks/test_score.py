"""Word error rates are whisper's normalisers' and nobody's own."""

from pathlib import Path

from benchmarks.score import errors, scores
from benchmarks.workloads import Item, Recording


def test_spelling_and_punctuation_are_no_errors() -> None:
    """English numbers and contractions are normalised; French only loses its punctuation."""
    assert errors("don't take twenty one", "Do not take 21!", "en") == (0, 4)
    assert errors("Il est là, dit-il", "il est la dit il.", "fr") == (1, 5)


def test_the_pieces_of_a_recording_are_scored_together() -> None:
    """In their order, as a piece has no text of its own."""
    source = Recording(Path("/c/en/a.wav"), "en", 4.0, "read", "dogs bark at night")
    items = (Item(Path("1.wav"), 2.0, source), Item(Path("2.wav"), 2.0, source), Item(Path("none.wav"), 1.0))
    scored = scores(items, {"1.wav": "Dogs bark", "2.wav": "at knight.", "none.wav": "noise"})
    assert scored == {"en/a.wav": [1, 4]}
