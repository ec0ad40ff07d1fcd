"""Keeping a child at work: started with backoff, watched by its progress in media time, killed when it hangs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.relay.messages import (
    HEARTBEAT_S,
    LIVENESS,
    PREPARING,
    Busy,
    Fail,
    Message,
    Progress,
    Result,
    Status,
)
from pipeline.stage.supervise.child import UNUSABLE, Child, Death
from pipeline.stage.supervise.ledger import RETURNED

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

MUTE_S = 2.0
HOPELESS = 2  # deaths in a row before a child was ready: not loading, but failing
STARTING = Status(phase="starting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """A stage's times, in seconds; tests take shorter ones."""

    poll: float = 0.2
    stall: float = (
        60.0  # without media progress, at least; three times what the child expects if that is longer
    )
    backoff: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # by deaths since the last progress
    memory: float = 2.0  # between looks at the kernel's count of processes killed for memory
    resend: float = 5.0  # an outcome that is not acknowledged
    drain: float = 10.0  # for the child to give back what it has
    silence: float = HEARTBEAT_S * LIVENESS  # of the core, before it counts as lost


class Keeper:
    """One child at a time, and what it was last known to be about."""

    def __init__(self, command: Sequence[str], timings: Timings) -> None:
        self._command = command
        self._timings = timings
        self._start_at = 0.0
        self._deaths = 0
        self._memory_at = 0.0
        self._renewed_at = 0.0
        self._heard_at = 0.0
        self._expected = 0.0
        self._position: dict[int, float] = {}
        self._stillborn = 0  # deaths in a row before the model was ready
        self._trouble = ""  # how the last of them died
        self.child: Child | None = None
        self.status = STARTING
        self.busy: frozenset[int] = frozenset()

    @property
    def patience(self) -> float:
        """For how long the child may now go on without media progress."""
        return max(self._timings.stall, 3 * self._expected)

    def start_when_due(self, now: float) -> bool:
        """Start a child if there is none and the backoff has passed; tell whether one was started."""
        if self.child or now < self._start_at:
            return False
        self.child = Child(self._command)
        self.status, self.busy, self._expected = self._remembering(STARTING), frozenset(), 0.0
        self._position.clear()
        logger.info("transcriber started (pid %d)", self.child.pid)
        return True

    def send(self, message: Message) -> None:
        """Send a message to the child, if there is one."""
        if self.child:
            self.child.send(message)

    def receive(self, now: float) -> list[Message]:
        """Return what the child has said; one that speaks nonsense is killed."""
        if self.child is None:
            return []
        self._look_at_memory(self.child, now)
        self.child.channel.flush()
        messages: list[Message] = []
        try:
            for message in self.child.receive():
                messages.append(message)  # what came before nonsense was sense
                self._note(message, now)
        except msgspec.MsgspecError:
            logger.exception("the transcriber (pid %d) sent what is no message", self.child.pid)
            self.child.kill()
        self._end_mute(self.child, now)
        return messages

    def _end_mute(self, child: Child, now: float) -> None:
        """Kill a child that lives on after it closed its channel; one that is about to exit is left to say how."""
        if not child.channel.ended:
            self._heard_at = now
        elif now - self._heard_at > MUTE_S:
            child.kill()

    def _look_at_memory(self, child: Child, now: float) -> None:
        if now - self._memory_at >= self._timings.memory and not child.is_over:
            self._memory_at = now
            child.look_at_memory()

    def _note(self, message: Message, now: float) -> None:
        match message:
            case Busy():
                self.busy, self._expected = frozenset(message.file_ids), message.expected
            case Status():
                self.status = self._remembering(message)
            case Progress() if message.windows or message.position > self._position.get(message.file_id, 0.0):
                self._position[message.file_id] = message.position
                self._renew(now)
            case Result() | Fail():
                self._position.pop(message.file_id, None)
                self._renew(now)

    def _renew(self, now: float) -> None:
        self._renewed_at, self._deaths = now, 0

    def has_hung(self, now: float, *, at_work: bool) -> bool:
        """Tell whether media progress is overdue; loading, compiling and waiting do not count."""
        if not at_work or self.status.phase in PREPARING or self.child is None:
            self._renewed_at = now
        return now - self._renewed_at > self.patience

    @property
    def has_ended(self) -> bool:
        """Whether there is a dead child to bury."""
        return self.child is not None and self.child.is_over

    def kill(self) -> None:
        """Kill the child; what it has said can still be received."""
        if self.child:
            self.child.kill()

    def bury(self, now: float) -> Death:
        """Reap the child, dead or not, tell how it ended, and plan when the next one starts."""
        death = self.stop()
        last = len(self._timings.backoff) - 1
        place = last if death.status == UNUSABLE else min(self._deaths, last)
        self._start_at = now + self._timings.backoff[place]
        self._deaths += 1
        self._tell(death)
        return death

    def _tell(self, death: Death) -> None:
        """Put the death into the status; where the child gave up by itself, its own words stay."""
        if self.status.phase == "failed" and death.status == UNUSABLE:
            self._trouble = self.status.detail
            return
        detail = f"the transcriber {death}"
        if self.status.phase in PREPARING:
            self._stillborn += 1
            detail += " before the model was ready"
        self._trouble = f"{detail} ({self._stillborn} in a row; the log says more)" if self._stillborn else ""
        failed = death.status == UNUSABLE or self._stillborn >= HOPELESS
        self.status = Status(phase="failed" if failed else "starting", detail=self._trouble or detail)

    def _remembering(self, status: Status) -> Status:
        """Return what the child says beside how those before it failed, until one is ready."""
        if status.phase in ("ready", "idle"):
            self._stillborn, self._trouble = 0, ""
        if status.phase not in PREPARING or not self._trouble:
            return status
        detail = f"{status.detail}; before: {self._trouble}".removeprefix("; ")
        return msgspec.structs.replace(status, detail=detail)

    def stop(self) -> Death:
        """Reap the child, if there is one, without holding it against the next."""
        child, self.child = self.child, None
        return child.bury() if child else Death(0, out_of_memory=False)


def blame(death: Death, *, hung: bool, patience: float) -> Fail:
    """Return the failure of a file that the child was on when it ended so (its lease is filled in later)."""
    if hung:
        return _fail(
            "crash", "stalled", f"no progress for {patience:.0f} s with this file; the transcriber was killed"
        )
    if death.status == UNUSABLE:
        return RETURNED
    message = f"the transcriber {death} while it worked on this file"
    if death.out_of_memory:
        return _fail("transient", "out_of_memory", message)
    return _fail("crash", "crashed", message)


def _fail(kind: Literal["crash", "transient"], code: str, message: str) -> Fail:
    return Fail(epoch=0, token=0, file_id=0, kind=kind, code=code, message=message)
