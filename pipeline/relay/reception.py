"""What the core makes of each message that a stage sends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.queue.records import Lease
from pipeline.relay.links import Board, Link
from pipeline.relay.messages import (
    VERSION,
    Accept,
    Bye,
    Cancel,
    Error,
    Fail,
    Hello,
    Message,
    Named,
    Pong,
    Progress,
    Ready,
    Result,
    ResultAck,
    Status,
    Welcome,
    decode,
)
from pipeline.tasks import FileState

if TYPE_CHECKING:
    from pipeline.queue.store import TaskStore
    from pipeline.relay.calls import Calls
    from pipeline.relay.sockets import Router

logger = logging.getLogger(__name__)


class Reception:
    """Reads what stages send into the board; whatever it cannot use it answers, and never raises for."""

    def __init__(  # noqa: PLR0913 - what its messages may concern
        self, store: TaskStore, router: Router, board: Board, calls: Calls, *, epoch: int, model: str
    ) -> None:
        self._store = store
        self._calls = calls
        self._router = router
        self._board = board
        self._epoch = epoch
        self._model = model

    def take(self, identity: bytes, raw: bytes, now: float) -> None:
        """Follow one message."""
        try:
            message = decode(raw)
        except msgspec.MsgspecError as error:
            self._refuse(identity, str(error))
            return
        link = self._board.links.get(identity)
        if isinstance(message, Hello):
            self._greet(identity, message, now)
        elif link is None:
            self._router.send(identity, Error(code="rehello", message="say Hello first"))
        else:
            link.heard(now)
            self._follow(link, message, now)

    def _refuse(self, identity: bytes, why: str) -> None:
        logger.warning("a message to the relay was refused: %s", why)
        self._router.send(identity, Error(code="malformed", message=why))

    def _greet(self, identity: bytes, hello: Hello, now: float) -> None:
        if hello.version != VERSION:
            text = (
                f"the core speaks version {VERSION}, the worker {hello.version}: run the same release on both"
            )
            self._router.send(identity, Error(code="version", message=text))
        elif not self._board.draining:  # else it asks again, and the next core answers
            self._welcome(Link.of(identity, hello, now))

    def _welcome(self, link: Link) -> None:
        """Let a worker in; the same worker over a new connection keeps its jobs."""
        before = self._board.link_of(link.worker)
        if before:
            del self._board.links[before.identity]
        else:
            logger.info("stage %s joined on %s", link.worker, link.device)
        self._board.links[link.identity] = link
        paused = bool(self._board.pauses)
        self._router.send(link.identity, Welcome(epoch=self._epoch, model=self._model, paused=paused))

    def _follow(self, link: Link, message: Message, now: float) -> None:
        match message:
            case Ready():
                link.offer(message.credit, sum(not held.accepted for held in self._board.of(link)))
            case Status():
                self._board.totals.deaths[link.device] += link.says(message)
            case Pong():
                link.patience = message.patience
            case Bye():
                self._board.part(link, "returned", "left", "the stage left in good order")
            case Accept() | Progress() | Result() | Fail():
                self._advance(link, message, now)
            case _:
                self._refuse(link.identity, f"{type(message).__name__} is not for the core")

    def _advance(self, link: Link, message: Named, now: float) -> None:
        held = self._board.jobs.get(message.file_id)
        if held is None or held.worker != link.worker or not held.answers(message):
            self._answer_stale(link, message)
            return
        held.job = None  # whatever it says of the job, it has it
        windows, seconds = held.windows, held.position
        if isinstance(message, Progress):
            self._calls.moved(held.file.path, message)
            if held.advance(message):
                link.renewed_at = now
        elif isinstance(message, (Result, Fail)):
            held.end(message)
            link.renewed_at = now
        self._board.totals.windows += held.windows - windows
        self._board.totals.seconds += held.position - seconds

    def _answer_stale(self, link: Link, message: Named) -> None:
        lease = Lease(message.epoch, message.token, message.file_id)
        if isinstance(message, (Result, Fail)):
            self.acknowledge(link, lease, committed=self._is_committed(lease))
        else:
            self.cancel(link, lease)

    def _is_committed(self, lease: Lease) -> bool:
        """Tell whether this very lease's result was committed: its acknowledgement was lost."""
        file = self._store.file(lease.file_id)
        if file is None or file.state is not FileState.DONE:
            return False
        return (file.epoch, file.token) == (lease.epoch, lease.token)

    def acknowledge(self, link: Link, lease: Lease, *, committed: bool) -> None:
        """Tell a stage that its Result or Fail is dealt with."""
        outcome: Literal["committed", "stale"] = "committed" if committed else "stale"
        self._router.send(
            link.identity,
            ResultAck(epoch=lease.epoch, token=lease.token, file_id=lease.file_id, outcome=outcome),
        )

    def cancel(self, link: Link, lease: Lease) -> None:
        """Tell a stage to drop a job."""
        self._router.send(link.identity, Cancel(epoch=lease.epoch, token=lease.token, file_id=lease.file_id))
