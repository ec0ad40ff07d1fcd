"""Sees that the queue can be written and is ours, also while there is nothing to write."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.errors import UnavailableError

if TYPE_CHECKING:
    from pipeline.queue.database import Database

logger = logging.getLogger(__name__)

PAUSE_S = 2.0


class Holding:
    """Writes nothing, now and then: a server that came back is ours again before another core takes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.trouble: str | None = None  # why the queue cannot be written

    def step(self, _now: float) -> float:
        """Look, and come again in seconds."""
        before = self.trouble
        try:
            self._database.write(lambda _connection: None)
            self.trouble = None
        except UnavailableError as error:
            self.trouble = str(error)
        if self.trouble and not before:
            logger.warning("the queue cannot be written: %s", self.trouble)
        elif before and not self.trouble:
            logger.info("the queue can be written again")
        return PAUSE_S
