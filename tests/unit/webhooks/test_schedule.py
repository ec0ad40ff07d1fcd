"""When an attempt that failed is made again."""

import pytest

from pipeline.queue.delivering import LONGEST_S
from pipeline.webhooks.schedule import ATTEMPTS, DELAYS_S, JITTER, LONGEST_WAIT_S, pause, retry_after

NOON = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


def test_the_plan_spans_seconds_to_days_and_then_ends() -> None:
    """As in Standard Webhooks' own example."""
    pauses = [pause(attempts, 0.5) for attempts in range(1, ATTEMPTS + 1)]
    assert pauses == [*DELAYS_S, None]
    assert sum(DELAYS_S) == 75 * 3600 + 35 * 60 + 5


@pytest.mark.parametrize("attempts", range(1, ATTEMPTS))
def test_chance_moves_an_attempt_by_a_fifth_at_most(attempts: int) -> None:
    """So that what failed together is not tried again together."""
    planned = DELAYS_S[attempts - 1]
    assert pause(attempts, 0.0) == pytest.approx(planned * (1 - JITTER))
    assert pause(attempts, 1.0) == pytest.approx(planned * (1 + JITTER))


def test_a_receiver_that_asks_for_time_gets_it() -> None:
    """But not for ever, and it does not hasten what is planned."""
    assert pause(1, 0.5, wait=90.0) == 90.0
    assert pause(1, 0.5, wait=10**9) == LONGEST_WAIT_S
    assert pause(3, 0.5, wait=1.0) == DELAYS_S[2]


def test_no_attempt_is_planned_as_far_ahead_as_the_queue_takes_for_a_clock_set_back() -> None:
    """Else a message would be due at once for ever."""
    assert max(pause(attempts, 1.0, wait=10**9) or 0.0 for attempts in range(1, ATTEMPTS)) < LONGEST_S


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("", 0.0),
        ("9" * 400, float("inf")),
        ("Fri, 99 Jan 2027 08:01:00 GMT", 0.0),
        (None, 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float) -> None:
    """RFC 9110, 10.2.3; what says nothing asks for nothing."""
    assert retry_after(header, NOON) == seconds
