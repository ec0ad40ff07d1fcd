"""The accuracy table counts errors and windows, and pools files by their words."""

from collections import Counter

from benchmarks.accuracy import Tally


def test_rates_are_pooled_by_words() -> None:
    """A long file weighs more than a short one."""
    pooled = Tally(1, 4, 30.0, Counter(first=1))
    pooled.add(Tally(1, 6, 30.0, Counter(first=1, rest=1, hotter=2)))
    assert str(pooled).split() == ["20.00", "2/10", "3.00", "1", "2"]


def test_words_where_nobody_spoke_are_counted() -> None:
    """There is no rate without a reference."""
    assert str(Tally(3, 0, 60.0)).split() == ["3w", "3/0", "0.00", "0", "0"]
