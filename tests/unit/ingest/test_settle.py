"""When a file is no longer being written."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.ingest.beneath import Look
from pipeline.ingest.settle import Hint, Settle

PATH = b"a/x.mp3"
LOOK = Look(size=10, mtime_ns=1, ctime_ns=1, inode=1)


def first_ready(
    settle: Settle, looks: list[tuple[float, Look]], *, has_writer: Callable[[], bool | None] = lambda: False
) -> Any:
    """Show these (time, look) to it; return the time at which it said ready."""
    return next((now for now, look in looks if settle.is_ready(PATH, look, now, has_writer)), None)


def tell(settle: Settle, hint: Hint) -> None:
    """Let an event say this of the file."""
    (settle.moved if hint is Hint.MOVED else settle.closed)({PATH})


def steady(times: list[float]) -> Any:
    return [(float(now), LOOK) for now in times]


@pytest.mark.parametrize(
    ("times", "ready"),
    [
        ([0, 5], None),  # two looks are too few
        ([0, 2.5, 4.9], None),  # three that span too little
        ([0, 2.5, 5], 5.0),
        ([0, 1, 2, 3, 4, 5, 6], 5.0),
        ([0, 100, 200], 200.0),  # a long sleep is no quiet time: it takes three looks all the same
    ],
)
def test_three_looks_must_span_the_quiet_time(times: list[float], ready: float | None) -> None:
    """Neither many looks nor a long time alone."""
    assert first_ready(Settle(5.0), steady(times)) == ready


@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns", "inode"])
def test_any_change_begins_the_wait_anew(field: str) -> None:
    """Each of the four counts; ctime catches a copy that keeps the old mtime."""
    changed = LOOK._replace(**{field: 99})
    looks = [(0.0, LOOK), (2.5, LOOK), (5.0, changed), (7.5, changed), (10.0, changed)]
    assert first_ready(Settle(5.0), looks) == 10.0


@pytest.mark.parametrize(("hint", "ready"), [(Hint.MOVED, 0.5), (Hint.CLOSED, 1.0)])
def test_an_events_word_makes_one_more_look_enough(hint: Hint, ready: float) -> None:
    """Half a second after a move, a second after a close."""
    settle = Settle(5.0)
    tell(settle, hint)
    assert first_ready(settle, steady([0, 0.25, 0.5, 0.75, 1.0, 1.25])) == ready


def test_a_change_takes_an_events_word_away() -> None:
    """A file closed and opened again waits like any other."""
    settle = Settle(5.0)
    tell(settle, Hint.CLOSED)
    grown = LOOK._replace(size=20)
    assert first_ready(settle, [(0.0, LOOK), (1.0, grown), (2.0, grown), (3.0, grown)]) is None


def test_a_directorys_move_speaks_for_what_it_held() -> None:
    """Only at a file's first look."""
    settle = Settle(5.0)
    settle.moved({b"a"})
    assert first_ready(settle, steady([0, 0.5])) == 0.5
    settle.drop_hints()
    assert first_ready(settle, steady([10, 10.5])) is None


def test_a_directorys_move_speaks_for_what_a_scan_saw_before_it_was_heard() -> None:
    """Events are read by another thread: a scan may come first."""
    settle = Settle(5.0)
    assert first_ready(settle, steady([0])) is None
    settle.moved({b"a"})
    assert settle.is_due(PATH, 0.0)
    assert first_ready(settle, steady([0.5])) == 0.5


@pytest.mark.parametrize(("hint", "refused"), [(None, 5.0), (Hint.MOVED, 2.5), (Hint.CLOSED, 2.5)])
def test_an_open_writer_vetoes_every_rule_and_begins_the_wait_anew(hint: Hint | None, refused: float) -> None:
    """Also what an event said: from the refusal on it takes the whole quiet time."""
    settle = Settle(5.0)
    if hint:
        tell(settle, hint)
    assert first_ready(settle, steady([0, 2.5, 5][: 2 + (hint is None)]), has_writer=lambda: True) is None
    times = [refused + step for step in (1, 2, 4.5, 5, 6)]
    assert first_ready(settle, steady(times)) == refused + 5


def test_an_unknown_writer_vetoes_nothing() -> None:
    """On a network mount nobody can be asked."""
    assert first_ready(Settle(5.0), steady([0, 2.5, 5]), has_writer=lambda: None) == 5.0


def test_the_writer_is_asked_only_when_all_else_is_quiet() -> None:
    """As it costs an open."""
    asked = []
    first_ready(Settle(5.0), steady([0, 2.5, 4]), has_writer=lambda: bool(asked.append(1)))
    assert asked == []


def test_without_looks_the_first_is_enough() -> None:
    """The veto stands."""
    assert first_ready(Settle(0.0, looks=False), steady([0])) == 0.0
    assert first_ready(Settle(0.0, looks=False), steady([0, 1]), has_writer=lambda: True) is None


def test_looks_are_due_as_the_rule_needs_them() -> None:
    """Not at every step."""
    settle = Settle(15.0)
    settle.is_ready(PATH, LOOK, 0.0, lambda: False)
    assert [settle.is_due(PATH, now) for now in (1.0, 7.0, 7.5)] == [False, False, True]
    settle.keep(())
    assert settle.is_due(PATH, 1.0)
