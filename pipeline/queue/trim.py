"""Keeps the event table from growing without end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.queue.store import TaskStore

KEEP = 100_000  # events: a listener that was away for longer asks for the state instead
PAUSE_S = 300.0


class Trim:
    """Deletes the oldest events now and then."""

    def __init__(self, store: TaskStore, keep: int = KEEP) -> None:
        self._store = store
        self._keep = keep

    def step(self, _now: float) -> float:
        """Trim, and come again in some minutes."""
        self._store.trim_events(self._keep)
        return PAUSE_S
