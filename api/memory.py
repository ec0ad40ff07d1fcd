"""The memory that the core takes beside what it holds."""

from __future__ import annotations

import ctypes
import gc

ARENAS = 2
_M_ARENA_MAX = -8  # glibc's malloc.h
YOUNG = 10_000  # objects between two looks at the young ones; Python's own are 700, 10 and 10
OLDER = 20
OLD = 50


def few_arenas() -> None:
    """Have malloc serve all threads from two arenas, not from up to eight for each processor.

    An arena keeps what its threads free, and the core has more than twenty: of 48 MB 15 lay idle, ever more, and of
    41 in two arenas 7. Python lets one thread run at a time, so that they seldom wait for one. Other C libraries
    than glibc have no arenas.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)


def collect_seldom() -> None:
    """Leave what was built until now out of garbage collection, and collect more seldom.

    What is built stays until the end, a quarter of a million objects. Whole collections hold up every thread: with a
    thousand listeners and files that arrive, 190 ms each on a busy core, eight times in half a minute.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLD)
