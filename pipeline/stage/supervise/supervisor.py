"""The stage's supervisor: speaks to the core, keeps the accounts, starts and kills the child. No torch.

Whatever the child does, the supervisor answers pings, holds what the core has not acknowledged, and tells which
files the child was on when it died.
"""

from __future__ import annotations

import logging
import os
import secrets
from typing import TYPE_CHECKING

import zmq

from pipeline.relay.messages import (
    PREPARING,
    VERSION,
    Accept,
    Busy,
    Bye,
    Cancel,
    Drain,
    Error,
    Fail,
    Hello,
    Job,
    Message,
    Pause,
    Ping,
    Pong,
    Ready,
    Result,
    ResultAck,
    Status,
    Welcome,
)
from pipeline.stage.supervise.child import UNUSABLE
from pipeline.stage.supervise.keeper import Keeper, Timings, blame
from pipeline.stage.supervise.ledger import Ledger, accept_of, cancel_of, key
from pipeline.stage.supervise.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

logger = logging.getLogger(__name__)


class Supervisor:
    """One stage: an uplink to the core, a ledger, and a child kept at work; `step` is one iteration."""

    def __init__(
        self,
        endpoint: str,
        device: str,
        command: Sequence[str],
        *,
        timings: Timings | None = None,
        stdin: int | None = None,
    ) -> None:
        self._timings = timings or Timings()
        hello = Hello(worker=secrets.token_hex(6), version=VERSION, device=device, pid=os.getpid())
        self._uplink = Uplink(endpoint, hello, silence_s=self._timings.silence)
        self._keeper = Keeper(command, self._timings)
        self._ledger = Ledger()
        self._stdin = stdin
        self._welcome: Welcome | None = None  # the last one; None after a drain
        self._paused = False
        self._drain_by: float | None = None
        self.exit_code: int | None = None  # once set, the supervisor leaves

    def step(self, now: float) -> None:
        """Wait for something to happen, pass on what was said, look after child and core."""
        self._wait()
        for message in self._uplink.receive(now):
            self._from_core(message, now)
        for message in self._keeper.receive(now):
            self._from_child(message, now)
        self._look_after_child(now)
        for outcome in self._ledger.due(now, self._timings.resend):
            self._uplink.send(outcome)
        self._drain(now)
        self._uplink.step(now)

    def leave(self) -> None:
        """Have the supervisor end in good order."""
        self.exit_code = 0

    def close(self) -> None:
        """Kill the child, say Bye."""
        self._keeper.stop()
        self._uplink.close()

    def _wait(self) -> None:
        """Wait for the core, the child or the end of standard input, which means that our core is gone."""
        watched: list[tuple[zmq.Socket[bytes] | int, int]] = [(self._uplink.socket, zmq.POLLIN)]
        if self._stdin is not None:
            watched.append((self._stdin, zmq.POLLIN))
        channel = self._keeper.child and self._keeper.child.channel
        if channel and not channel.ended:
            watched.append((channel.fileno(), zmq.POLLIN | (zmq.POLLOUT if channel.has_unsent else 0)))
        ready = zmq.zmq_poll(watched, int(self._timings.poll * 1000))
        if self._stdin in dict(ready) and self._stdin is not None and not os.read(self._stdin, 4096):
            self.leave()

    # ---- the core ----

    def _from_core(self, message: Message, now: float) -> None:
        match message:
            case Ping():
                self._uplink.send(Pong(patience=self._keeper.patience))
            case Welcome() if not self._uplink.welcomed:
                self._settle_in(message, now)
            case Job():
                self._take(message, now)
            case Cancel():
                self._ledger.drop(message)
                self._keeper.send(message)
            case ResultAck():
                self._ledger.acknowledge(message)
            case Pause():
                self._paused = message.paused
                self._keeper.send(message)
            case Drain():
                self._drain_by = now + self._timings.drain
                self._keeper.send(message)
            case Error():
                self._correct(message)

    def _settle_in(self, welcome: Welcome, now: float) -> None:
        """Begin with this core, or go on after a break: say again what it may have missed."""
        self._uplink.welcomed = True
        if self._welcome and welcome.epoch != self._welcome.epoch:
            self._void_jobs()
        self._welcome, self._paused = welcome, welcome.paused
        self._keeper.send(welcome)
        for lease in self._ledger.jobs.values():
            self._uplink.send(accept_of(lease))
        self._uplink.send(Ready(credit=self._ledger.credit))
        self._uplink.send(self._keeper.status)
        for outcome in self._ledger.due(now, 0.0):
            self._uplink.send(outcome)

    def _void_jobs(self) -> None:
        """Drop the leases of an epoch that is over; the new core has given them to others."""
        for lease in list(self._ledger.jobs.values()):
            cancel = cancel_of(lease)
            self._ledger.drop(cancel)
            self._keeper.send(cancel)

    def _take(self, job: Job, now: float) -> None:
        """Accept a job, also one sent twice; without a child it goes back."""
        if not self._ledger.has(job):
            before = self._ledger.jobs.get(job.file_id)
            if before:  # leased to us anew: the work under the old lease counts no more
                self._keeper.send(cancel_of(before))
            self._ledger.take(job)
            self._keeper.send(job)
        self._uplink.send(accept_of(key(job)))
        if self._keeper.child is None:
            self._end_all(now)

    def _correct(self, error: Error) -> None:
        if error.code == "rehello":
            self._uplink.rehello()
        elif error.code == "version":
            logger.error("%s", error.message)
            self.exit_code = UNUSABLE
        else:
            logger.warning("the core refused a message: %s", error.message)

    # ---- the child ----

    def _from_child(self, message: Message, now: float) -> None:
        match message:
            case Busy() | Bye() | Accept():
                return  # the keeper's; said to the core when all is given back; said when the job came
            case Status():
                message = self._keeper.status
            case Ready():
                self._ledger.credit += message.credit
            case Result() | Fail():
                if not self._ledger.has(message):
                    return  # cancelled meanwhile
                self._ledger.end(message, now)
        self._uplink.send(message)

    def _look_after_child(self, now: float) -> None:
        if self._welcome is None or self._drain_by is not None:
            return
        if self._keeper.start_when_due(now):
            self._keeper.send(self._welcome)
            self._keeper.send(Pause(paused=self._paused))
            self._uplink.send(self._keeper.status)
        hung = self._keeper.has_hung(now, at_work=bool(self._ledger.jobs) and not self._paused)
        if hung or self._keeper.has_ended:
            self._bury(now, hung=hung)

    def _bury(self, now: float, *, hung: bool) -> None:
        """Take leave of the child: its last words, then blame for the files it was on, the others given back."""
        self._hear_last_words(now)
        patience, blamed = self._keeper.patience, self._keeper.busy
        preparing = self._keeper.status.phase in PREPARING
        death = self._keeper.bury(now)
        if not blamed and not preparing:
            blamed = frozenset(self._ledger.jobs)  # one of them did it: each is tried alone
        about = {"file_ids": sorted(blamed)}
        logger.error("the transcriber %s%s", death, " (it made no progress)" if hung else "", extra=about)
        self._end_all(now, blamed, blame(death, hung=hung, patience=patience))
        self._uplink.send(self._keeper.status)

    def _hear_last_words(self, now: float) -> None:
        self._keeper.kill()
        for message in self._keeper.receive(now):
            self._from_child(message, now)

    def _end_all(self, now: float, blamed: Collection[int] = (), form: Fail | None = None) -> None:
        """End what the child had, and offer no place while there is none."""
        for end in self._ledger.end_all(now, blamed, form):
            self._uplink.send(end)
        self._uplink.send(Ready(credit=-self._ledger.credit))
        self._ledger.credit = 0

    # ---- leaving ----

    def _drain(self, now: float) -> None:
        """Once the child has given everything back (or took too long), leave this core and wait for the next."""
        if self._drain_by is None:
            return
        late = now >= self._drain_by
        if self._ledger.jobs and not self._keeper.has_ended and not late:
            return
        self._hear_last_words(now)
        self._keeper.stop()
        self._end_all(now)
        if self._ledger.kept and not late:
            return
        self._uplink.send(Bye())
        self._uplink.restart(now)
        self._welcome = self._drain_by = None
