"""What listeners are told, and the last of it, kept in memory for all of them."""

from __future__ import annotations

import sys
from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from pipeline.queue.store import EventKind
from pipeline.tasks import ACTIVE, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.queue.store import Event

PORTION = 400  # frames that one listener takes at once


@dataclass(frozen=True, slots=True)
class Frame:
    """An event as listeners are told it. `ends`: whether its task has ended; None where it is about a file."""

    id: int
    task_id: str
    ends: bool | None
    content: bytes


def frame_of(event: Event, content: bytes) -> Frame:
    """Return an event and what listeners are told of it."""
    ends = TaskState(event.state) not in ACTIVE if event.kind == EventKind.TASK else None
    return Frame(event.id, sys.intern(event.task_id), ends, content)


class Recent:
    """The newest frames: every one after `floor`, up to `cursor`."""

    def __init__(self, cursor: int, keep: int) -> None:
        self.floor = self.cursor = cursor
        self._keep = keep
        self._frames: list[Frame] = []

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frames: Sequence[Frame]) -> None:
        """Keep these too, in place of the oldest."""
        self._frames += frames
        self.cursor = frames[-1].id
        if len(self._frames) > self._keep:
            self.floor = self._frames[-self._keep - 1].id
            del self._frames[: -self._keep]

    def portion(self, after: int, task_id: str | None) -> tuple[Sequence[Frame], int]:
        """Return the next frames of a task, or of all, and up to which id they tell."""
        start = bisect_right(self._frames, after, key=attrgetter("id"))
        if task_id is None:
            frames = self._frames[start : start + PORTION]
        else:
            frames = [each for each in self._frames[start:] if each.task_id == task_id][:PORTION]
        return frames, frames[-1].id if len(frames) == PORTION else max(after, self.cursor)


def has_ended(frames: Iterable[Frame], *, before: bool) -> bool:
    """Tell whether a task has ended after these frames of it."""
    said = [each.ends for each in frames if each.ends is not None]
    return said[-1] if said else before
