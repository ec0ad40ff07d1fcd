"""One who listens to live events: how far he has heard, and the bell that he waits for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Listener:
    """How far somebody has heard. `waiting`: to the end of what was read, and that is at least up to `until`."""

    cursor: int
    until: int = 0
    waiting: bool = False
    nudged: bool = False
    over: bool = False
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self, before: int) -> None:
        """Have him take a portion; if he waited, he has heard all that was read `before`."""
        if self.waiting:
            self.waiting = False
            self.cursor = max(self.cursor, before)
        self.bell.set()

    def nudge(self) -> None:
        """Have him look up once, though there may be nothing to hear."""
        self.nudged = True
        self.bell.set()

    def hang_up(self) -> None:
        """End what he follows."""
        self.over = True
        self.bell.set()
