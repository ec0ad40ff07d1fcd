"""Divides the program's own times by $TORTURE_HASTE, in every process that has this folder on its PYTHONPATH.

Nothing of the program knows of it: each module's constants are divided when it has been imported. And the journal of
SQLite is the one that $TORTURE_JOURNAL names, `wal` or `delete`, whatever suits the library of this machine; and stages
connect to $TORTURE_PROXY where there is one.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

JOURNAL = os.environ.get("TORTURE_JOURNAL")
HASTE = float(os.environ.get("TORTURE_HASTE", "1"))
TIMES = {
    "api.stages": ("BACKOFF_S",),
    "pipeline.ingest.intake": ("PAUSE_S", "MAX_PAUSE_S", "SUSPENDED_PAUSE_S"),
    "pipeline.ingest.rescan": ("STEP_S",),
    "pipeline.ingest.settle": ("MOVED_S", "CLOSED_S"),
    "pipeline.ingest.watch": ("STEP_S", "POLL_S", "RETRY_S"),
    "pipeline.queue.sqlite": (),
    "pipeline.relay.dispatch": ("LOOK_S", "AGAIN_S"),
    "pipeline.relay.links": ("STALL_MARGIN_S",),
    "pipeline.relay.messages": ("HEARTBEAT_S",),
    "pipeline.relay.retries": ("FIRST_DELAY_S", "SPREAD_S"),
    "pipeline.relay.vigil": ("ACCEPT_S", "SLEPT_S"),
    "pipeline.stage.supervise.keeper": ("MUTE_S",),
    "pipeline.stage.supervise.uplink": ("HELLO_S",),
}
STAGE_TIMES = (
    "stall",
    "backoff",
    "memory",
    "resend",
    "drain",
)  # fields of keeper.Timings; silence follows HEARTBEAT_S


class Hurry:
    """A finder of the modules above, whose loader divides what it has loaded."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that others find, with our loader around theirs."""
        if name not in TIMES:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec and spec.loader:
            load = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _hurried(module, load)  # type: ignore[method-assign]
        return spec


def _hurried(module: ModuleType, load: Any) -> None:
    load(module)
    for name in TIMES[module.__name__]:
        setattr(module, name, _divided(getattr(module, name)))
    if module.__name__ == "pipeline.stage.supervise.keeper":
        defaults = module.Timings.__init__.__kwdefaults__
        defaults.update({name: _divided(defaults[name]) for name in STAGE_TIMES})
    if module.__name__ == "api.stages":
        command = module.supervisor_command
        module.supervisor_command = lambda settings, endpoint, device: command(
            settings, os.environ.get("TORTURE_PROXY", endpoint), device
        )
    if module.__name__ == "pipeline.queue.sqlite" and JOURNAL:
        chosen = module.WAL if JOURNAL == "wal" else module.DELETE
        module.journal_for = lambda _version: (chosen, None)


def _divided(value: Any) -> Any:
    return tuple(map(_divided, value)) if isinstance(value, tuple) else value / HASTE


if HASTE != 1 or JOURNAL:
    sys.meta_path.insert(0, Hurry())
