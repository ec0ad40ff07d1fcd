"""When an attempt that failed is made again. Pure: chance and time are arguments."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

_MINUTE, _HOUR = 60.0, 3600.0

# Standard Webhooks' own example (spec 1.0.0, "Deliverability and reliability"): given up after three days
DELAYS_S = (
    *(5.0, 5 * _MINUTE, 30 * _MINUTE),
    *(2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR),
)
ATTEMPTS = 1 + len(DELAYS_S)
JITTER = 0.2  # of a delay: what failed together is not tried again together
LONGEST_WAIT_S = 24 * _HOUR  # that a receiver may ask for


def pause(attempts: int, chance: float, wait: float = 0.0) -> float | None:
    """Return in how many seconds to try again after so many attempts that failed; None: give up.

    `chance` is a random number from 0 to 1, `wait` what the receiver asked for at least.
    """
    if attempts >= ATTEMPTS:
        return None
    planned = DELAYS_S[attempts - 1] * (1 + JITTER * (2 * chance - 1))
    return max(planned, min(wait, LONGEST_WAIT_S))


def retry_after(value: str | None, now: float) -> float:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3); 0 where it says nothing."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now)
