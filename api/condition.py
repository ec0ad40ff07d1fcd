"""How the core stands, for those who operate it: why no work is done, and what they want to see beside that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.keys.exposure import warning
from pipeline import VERSION

if TYPE_CHECKING:
    from api.service import Core


def problems(core: Core) -> list[str]:
    """Say why work cannot be accepted and done right now; nothing when it can."""
    found = ["the service is stopping"] if core.draining else []
    if core.intake.suspended:
        found.append(core.intake.suspended)
    if trouble := core.holding.trouble or core.dispatch.trouble:
        found.append(trouble)
    stages = core.dispatch.stages
    if not any(stage.phase in ("ready", "idle") for stage in stages):
        found += [_described(stage) for stage in stages] or ["the stage is starting"]
    return found


def facts(core: Core) -> dict[str, Any]:
    """Return what /readyz tells in any case."""
    return {
        "version": VERSION,
        "queue": {"journal": core.database.journal, "note": core.place.note or core.database.note},
        "watch": {
            "kind": core.watch.kind if core.settings.watch else "off",
            "degraded": core.watch.degraded,
        },
        "keys": {"asked_for": core.keys is not None, "notes": notes_on_keys(core)},
        "paused": list(core.dispatch.paused),
        "stages": [_figures(stage) for stage in core.dispatch.stages],
    }


def notes_on_keys(core: Core) -> list[str]:
    """Say what should be known of who may reach this service, if anything."""
    exposed = warning(core.settings.host, keys=core.keys is not None)
    return [each for each in (exposed, core.keys.trouble if core.keys else None) if each]


def _figures(stage: Any) -> dict[str, Any]:
    told = {name: getattr(stage, name) for name in ("device", "phase", "detail", "fraction", "jobs")}
    return told | ({"figures": dict(stage.figures)} if stage.figures else {})


def _described(stage: Any) -> str:
    share = "" if stage.fraction is None else f" {stage.fraction:.0%}"
    return f"the stage on {stage.device} is {stage.phase}{share}{': ' if stage.detail else ''}{stage.detail}"
