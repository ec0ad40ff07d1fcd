"""Work hours: outside them batch work pauses at the next window."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.settings import within

if TYPE_CHECKING:
    from pipeline.relay.dispatch import Dispatch

REASON = "work_hours"
LOOK_S = 5.0


class Hours:
    """Pauses and resumes the dispatch by the local clock."""

    def __init__(self, hours: tuple[int, int], dispatch: Dispatch) -> None:
        self._hours = hours
        self._dispatch = dispatch

    def step(self, _now: float) -> float:
        """Look at the wall clock, as people mean it."""
        local = time.localtime()
        if within(self._hours, local.tm_hour * 60 + local.tm_min):
            self._dispatch.resume(REASON)
        else:
            self._dispatch.pause(REASON)
        return LOOK_S
