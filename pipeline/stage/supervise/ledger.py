"""What a stage owes the core, kept by the supervisor so that it survives the child."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from pipeline.relay.messages import Accept, Cancel, Fail, Job, Named, Result

if TYPE_CHECKING:
    from collections.abc import Collection

Key = tuple[int, int, int]
RETURNED = Fail(
    epoch=0, token=0, file_id=0, kind="returned", code="returned", message="given back unfinished"
)


def key(message: Named) -> Key:
    """Return the lease that a message is about."""
    return message.epoch, message.token, message.file_id


def cancel_of(lease: Key) -> Cancel:
    """Return the word to drop the job under this lease."""
    epoch, token, file_id = lease
    return Cancel(epoch=epoch, token=token, file_id=file_id)


def accept_of(lease: Key) -> Accept:
    """Return the word that the job under this lease is here."""
    epoch, token, file_id = lease
    return Accept(epoch=epoch, token=token, file_id=file_id)


@dataclass(slots=True)
class Kept:
    """An outcome that the core has not acknowledged yet."""

    message: Result | Fail
    sent_at: float


@dataclass(slots=True)
class Ledger:
    """The jobs that the child has, the outcomes not acknowledged, and the places the core may still fill."""

    jobs: dict[int, Key] = field(default_factory=dict)  # by file
    kept: dict[Key, Kept] = field(default_factory=dict)
    credit: int = 0

    def has(self, message: Named) -> bool:
        """Tell whether this lease is at work or finished here."""
        return self.jobs.get(message.file_id) == key(message) or key(message) in self.kept

    def take(self, job: Job) -> None:
        """Enter a new job; it fills one place."""
        self.jobs[job.file_id] = key(job)
        self.credit -= 1

    def drop(self, message: Named) -> None:
        """Strike a job off without an outcome."""
        if self.jobs.get(message.file_id) == key(message):
            del self.jobs[message.file_id]

    def end(self, outcome: Result | Fail, now: float) -> None:
        """Strike a job off and keep its outcome."""
        self.drop(outcome)
        self.kept[key(outcome)] = Kept(outcome, now)

    def acknowledge(self, message: Named) -> None:
        """Let an outcome go."""
        self.kept.pop(key(message), None)

    def due(self, now: float, every: float) -> list[Result | Fail]:
        """Return the outcomes to send again."""
        due = [kept for kept in self.kept.values() if now - kept.sent_at >= every]
        for kept in due:
            kept.sent_at = now
        return [kept.message for kept in due]

    def end_all(self, now: float, blamed: Collection[int] = (), blame: Fail | None = None) -> list[Fail]:
        """End all jobs: the blamed as `blame` says, the others given back; return what to tell the core."""
        ends = []
        for file_id, (epoch, token, _) in list(self.jobs.items()):
            form = blame if blame and file_id in blamed else RETURNED
            end = msgspec.structs.replace(form, epoch=epoch, token=token, file_id=file_id)
            self.end(end, now)
            ends.append(end)
        return ends
