"""Sees that the queue can be written and is ours, also while there is nothing to write."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

from pipeline.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.queue.database import Database

logger = logging.getLogger(__name__)

PAUSE_S = 2.0
ROOM = 1 << 20  # bytes: with less, no commit is sure of its place


class Holding:
    """Writes nothing, now and then: a server that came back is ours again before another core takes it.

    That a disk is full such a write does not notice, so `folder`, where the queue lies, is asked for room; None where
    a server holds it.
    """

    def __init__(self, database: Database, folder: Path | None) -> None:
        self._database = database
        self._folder = folder
        self.trouble: str | None = None  # why the queue cannot be written

    def step(self, _now: float) -> float:
        """Look, and come again in seconds."""
        before, self.trouble = self.trouble, self._look()
        if self.trouble and not before:
            logger.warning("the queue cannot be written: %s", self.trouble)
        elif before and not self.trouble:
            logger.info("the queue can be written again")
        return PAUSE_S

    def _look(self) -> str | None:
        try:
            self._database.write(lambda _connection: None)
            free = shutil.disk_usage(self._folder).free if self._folder else ROOM
        except UnavailableError as error:
            return str(error)
        except OSError as error:
            return f"{self._folder}: {error.strerror}"
        return None if free >= ROOM else f"the disk that holds {self._folder} is full; free some space"
