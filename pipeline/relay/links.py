"""What the core knows of each worker (Link), of each job that is out (Held), and of both together (Board)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.relay.messages import (
    HEARTBEAT_S,
    LIVENESS,
    PREPARING,
    Fail,
    Hello,
    Job,
    Named,
    Progress,
    Result,
    Status,
    encode_window,
)

if TYPE_CHECKING:
    from pipeline.options import Options
    from pipeline.outputs import Written
    from pipeline.queue.records import Lease
    from pipeline.relay.commit import Prepared
    from pipeline.tasks import MediaFile

GONE_PINGS = 2  # a connection that breaks is made again in less
STALL_MARGIN_S = 30.0  # beyond what the supervisor allows its child
DOWN = frozenset({"starting", "failed"})  # phases without a child
Kind = Literal["transient", "returned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInfo:
    """One stage as /readyz and the log show it."""

    worker: str
    device: str
    phase: str
    detail: str
    fraction: float | None
    figures: dict[str, float]
    jobs: int


@dataclass(slots=True, kw_only=True)
class Link:
    """One worker: where it is, what it may still be given, when it was heard and when it last moved."""

    identity: bytes
    worker: str
    device: str
    heard_at: float
    renewed_at: float
    pinged_at: float = 0.0
    unanswered: int = 0  # pings since it was last heard
    unreachable: int = 0  # of those, pings that could not be sent: its connection is gone
    credit: int = 0
    counted: bool = False  # whether its credit is known since it said Hello
    patience: float = 60.0
    status: Status = field(default_factory=lambda: Status(phase="starting"))

    @classmethod
    def of(cls, identity: bytes, hello: Hello, now: float) -> Link:
        """Return the record of a worker that has just said Hello."""
        return cls(identity=identity, worker=hello.worker, device=hello.device, heard_at=now, renewed_at=now)

    def heard(self, now: float) -> None:
        """Note a sign of life: any message."""
        self.heard_at, self.unanswered, self.unreachable = now, 0, 0

    def says(self, status: Status) -> bool:
        """Note what the worker is about; tell whether its child has died since it spoke last."""
        has_died = status.phase in DOWN and self.status.phase not in DOWN
        self.status = status
        return has_died

    def offer(self, places: int, unaccepted: int) -> None:
        """Add the places a worker offers; its first word after Hello counts those of jobs on their way as free."""
        self.credit += places if self.counted else places - unaccepted
        self.counted = True

    def ping_due(self, now: float) -> bool:
        """Tell whether to ping now; if so it counts as unanswered until the worker is heard."""
        if now - self.pinged_at < HEARTBEAT_S:
            return False
        self.pinged_at = now
        self.unanswered += 1
        return True

    def is_lost(self, now: float) -> bool:
        """Tell whether the worker is gone or fell silent; a core that slept itself has not pinged and blames nobody."""
        if self.unreachable >= GONE_PINGS:
            return True
        return self.unanswered > LIVENESS and now - self.heard_at >= HEARTBEAT_S * LIVENESS

    def is_stalled(self, now: float) -> bool:
        """Tell whether no media progress came for longer than even its supervisor allows."""
        if self.status.phase in PREPARING:
            self.renewed_at = now
        return now - self.renewed_at > self.patience + STALL_MARGIN_S

    def show(self, jobs: int) -> StageInfo:
        """Return what to tell about this worker."""
        said = self.status
        return StageInfo(
            worker=self.worker,
            device=self.device,
            phase=said.phase,
            detail=said.detail,
            fraction=said.fraction,
            figures=dict(said.figures),
            jobs=jobs,
        )


@dataclass(slots=True, kw_only=True)
class Held:
    """One job that is out: its lease, its worker, what is not saved yet, and how it ended."""

    file: MediaFile
    lease: Lease
    worker: str
    options: Options
    text_key: str = ""
    job: Job | None = None  # kept until it is accepted
    sent_at: float
    unsaved: dict[int, bytes] = field(default_factory=dict)  # finished windows by start sample
    moved: bool = False  # there is something to save
    windows: int = 0  # finished, those of earlier leases too
    position: float = 0.0
    duration: float | None = None
    language: str | None = None
    outcome: Result | Fail | Written | None = None  # Written: it was done before it was sent
    due: float = 0.0  # when to deal with the outcome
    prepared: Prepared | None = None  # the row is committing these

    @property
    def accepted(self) -> bool:
        """Whether the worker has it."""
        return self.job is None

    @property
    def solo(self) -> bool:
        """Whether nothing may run beside it."""
        return self.file.crashes > 0

    def answers(self, message: Named) -> bool:
        """Tell whether a message speaks for this very lease."""
        return (message.epoch, message.token) == (self.lease.epoch, self.lease.token)

    def advance(self, progress: Progress) -> bool:
        """Take in finished windows; tell whether the file moved on in media time."""
        before = self.position
        self.unsaved |= {window.start: encode_window(window) for window in progress.windows}
        self.windows += len(progress.windows)
        self.position = max(before, progress.position)
        self.duration = self.duration if progress.duration is None else progress.duration
        self.language = progress.language or self.language
        self.moved = True
        return bool(progress.windows) or self.position > before

    def end(self, outcome: Result | Fail | Written) -> None:
        """Note how the job ended; the first outcome counts."""
        if self.outcome is None:
            self.outcome = outcome
            self.job = None
            if isinstance(outcome, Result):
                self.windows = max(self.windows, len(outcome.windows))
                self.position = max(self.position, outcome.decoded)

    def fail(self, kind: Kind, code: str, message: str) -> None:
        """End the job in the worker's stead."""
        lease = self.lease
        self.end(
            Fail(
                epoch=lease.epoch, token=lease.token, file_id=lease.file_id,
                kind=kind, code=code, message=message,
            )
        )  # fmt: skip


@dataclass(slots=True)
class Totals:
    """What the stages have done since the core started; all of it only grows."""

    windows: int = 0
    seconds: float = 0.0  # of audio
    deaths: Counter[str] = field(default_factory=Counter)  # of children and of whole stages, by device


@dataclass(slots=True, kw_only=True)
class Board:
    """The workers and the jobs that are out, and whether any more may go."""

    links: dict[bytes, Link] = field(default_factory=dict)  # by routing id
    jobs: dict[int, Held] = field(default_factory=dict)  # by file
    pauses: frozenset[str] = frozenset()  # reasons
    draining: bool = False
    totals: Totals = field(default_factory=Totals)

    def of(self, link: Link) -> list[Held]:
        """Return the jobs a worker is still at."""
        return [held for held in self.jobs.values() if held.worker == link.worker and held.outcome is None]

    def ended(self, now: float) -> list[Held]:
        """Return the jobs whose outcome is to be dealt with now."""
        return [held for held in self.jobs.values() if held.outcome and held.due <= now]

    def link_of(self, worker: str) -> Link | None:
        """Return the link of a worker that is here."""
        return next((link for link in self.links.values() if link.worker == worker), None)

    def part(self, link: Link, kind: Kind, code: str, message: str) -> None:
        """Forget a worker; what it was at ends so."""
        del self.links[link.identity]
        for held in self.of(link):
            held.fail(kind, code, message)
