"""The memory that the core takes beside what it holds."""

from __future__ import annotations

import ctypes

ARENAS = 2
_M_ARENA_MAX = -8  # glibc's malloc.h


def few_arenas() -> None:
    """Have malloc serve all threads from two arenas, not from up to eight for each processor.

    An arena keeps what its threads free, and the core has more than twenty: of 48 MB 15 lay idle, ever more, and of
    41 in two arenas 7. Python lets one thread run at a time, so that they seldom wait for one. Other C libraries
    than glibc have no arenas.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)
