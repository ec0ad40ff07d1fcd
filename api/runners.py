"""What of a core goes on by itself: each part in a thread of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.pauses import Pauses
from pipeline.queue.trim import Trim
from pipeline.runner import Runner
from pipeline.settings import parse_work_hours

if TYPE_CHECKING:
    from api.service import Core


class Runners:
    """The runners of one core, in the order in which they start."""

    def __init__(self, core: Core) -> None:
        self._runners = [Runner(name, part) for name, part in _parts(core).items()]

    def start(self) -> None:
        """Start them all."""
        for runner in self._runners:
            runner.start()

    def wake(self) -> None:
        """Have each part step now."""
        for runner in self._runners:
            runner.wake()

    def stop(self) -> None:
        """Stop each after its present step, in the reverse order."""
        for runner in reversed(self._runners):
            runner.stop()


def _parts(core: Core) -> dict[str, Any]:
    parts: dict[str, Any] = {"relay": core.dispatch, "intake": core.intake, "report": core.report}
    parts |= {"spool": core.spool, "hold": core.holding, "trim": Trim(core.store)}
    parts |= {f"stage-{number}": stage for number, stage in enumerate(core.stages)}
    if core.unattended:
        parts["rescan"] = core.rescan
        if core.settings.watch:
            parts["watch"] = core.watch
    if core.keys:
        parts["keys"] = core.keys
    if core.webhooks:
        parts["webhooks"] = core.webhooks
    hours = parse_work_hours(core.settings.work_hours) if core.settings.work_hours else None
    parts["pauses"] = Pauses(hours, core.intake, core.dispatch)
    return parts
