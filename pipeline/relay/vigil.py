"""Watching the stages: pings, workers that fell silent or stand still, jobs that were not accepted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.relay.messages import Cancel, Ping
from pipeline.relay.retries import WORKER_LOST

if TYPE_CHECKING:
    from pipeline.relay.links import Board, Link
    from pipeline.relay.sockets import Router

logger = logging.getLogger(__name__)

ACCEPT_S = 3.0  # a job not accepted by then is sent again
SLEPT_S = 5.0  # a longer gap between looks means that this process did not run


class Vigil:
    """Looks after every worker on the board; leases live by progress in media time, not by signs of life."""

    def __init__(self, router: Router, board: Board) -> None:
        self._router = router
        self._board = board
        self._looked_at: float | None = None

    def step(self, now: float) -> None:
        """Look once."""
        slept = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        for link in list(self._board.links.values()):
            if slept > SLEPT_S or self._board.pauses or not self._board.of(link):
                link.renewed_at = now  # the core slept, or nothing should move
            self._look(link, now)

    def _look(self, link: Link, now: float) -> None:
        if link.ping_due(now) and not self._router.send(link.identity, Ping()):
            link.unreachable += 1
        if link.is_lost(now):
            logger.warning("stage %s fell silent", link.worker)
            self._board.totals.deaths[link.device] += 1
            self._board.part(
                link, "transient", WORKER_LOST, f"stage {link.worker} was lost while it had this file"
            )
        elif link.is_stalled(now):
            self._take_back(link)
        else:
            self._send_again(link, now)

    def _take_back(self, link: Link) -> None:
        """End the jobs of a stage that stands still and whose supervisor did not notice."""
        logger.warning("stage %s makes no progress; its files are taken back", link.worker)
        for held in self._board.of(link):
            lease = held.lease
            held.fail("transient", "stalled", f"stage {link.worker} made no progress with this file")
            self._router.send(
                link.identity, Cancel(epoch=lease.epoch, token=lease.token, file_id=lease.file_id)
            )

    def _send_again(self, link: Link, now: float) -> None:
        for held in self._board.of(link):
            if held.job is not None and now - held.sent_at >= ACCEPT_S:
                held.sent_at = now
                self._router.send(link.identity, held.job)
