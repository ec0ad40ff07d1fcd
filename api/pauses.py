"""Why batch work pauses by itself: outside the work hours, and while the workdir is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.settings import within

if TYPE_CHECKING:
    from pipeline.ingest.intake import Intake
    from pipeline.relay.dispatch import Dispatch

LOOK_S = 1.0
ALWAYS = (0, 24 * 60)


class Pauses:
    """Pauses and resumes the dispatch, each reason by itself."""

    def __init__(self, hours: tuple[int, int] | None, intake: Intake, dispatch: Dispatch) -> None:
        """`hours`: start and end of work in minutes after midnight; None works round the clock."""
        self._hours = hours or ALWAYS
        self._intake = intake
        self._dispatch = dispatch

    def step(self, _now: float) -> float:
        """Look at the wall clock, as people mean it, and at the workdir."""
        local = time.localtime()
        self._keep("work_hours", within(self._hours, local.tm_hour * 60 + local.tm_min))
        self._keep("workdir", not self._intake.suspended)
        return LOOK_S

    def _keep(self, reason: str, may_work: bool) -> None:  # noqa: FBT001 - the one question
        if may_work is (reason in self._dispatch.paused):
            (self._dispatch.resume if may_work else self._dispatch.pause)(reason)
