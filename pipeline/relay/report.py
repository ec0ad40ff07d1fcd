"""transcription-status.json and .txt in a task's directory: everything in it, whichever task did it."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.descent import directories_above
from pipeline.outputs import STATUS_JSON, STATUS_TXT, split
from pipeline.provenance import PROGRAM
from pipeline.queue.store import EventKind, Seconds
from pipeline.relay import atomic
from pipeline.relay.posting import post
from pipeline.relay.wording import wording_for, write_status
from pipeline.status import eta_seconds, task_answer
from pipeline.tasks import ACTIVE, ENDED, OPEN, TaskState, display, ended_task_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline.queue.store import Event, TaskStore
    from pipeline.tasks import FileState, MediaFile, Task

logger = logging.getLogger(__name__)

INTERVAL_S = 10.0  # between two reports of a directory in which something changes
LOOK_S = 1.0
BREATH_S = 0.02  # between two directories: others may use the database
CLOSE_S = 3.0  # for what is left to be written at the end
COST_SHARE = 20  # a report that took a second is not written again for so many
EVENTS_AT_ONCE = 1000
_ROOT = b"."


@dataclass(slots=True)
class _Folder:
    """A directory that has a report, or is to have one. Times are monotonic seconds."""

    task: Task  # the newest that concerns it
    due: float | None = None  # None: nothing has changed
    written_at: float = float("-inf")
    cost: float = 0.0  # seconds that the last report took
    complaints: frozenset[str] = frozenset()  # of the last report

    def change(self, now: float, *, ended: bool) -> None:
        """Have it written: soon where a task ended, else when the interval is over."""
        pause = self.cost * COST_SHARE
        due = max(now, self.written_at + (pause if ended else max(INTERVAL_S, pause)))
        self.due = due if self.due is None else min(self.due, due)

    def rests(self, now: float) -> bool:
        """Tell whether nothing has changed for so long that a change would be written at once."""
        return self.due is None and now >= self.written_at + max(INTERVAL_S, self.cost * COST_SHARE)


class Report:
    """Writes the reports of the directories in which something has changed."""

    def __init__(
        self,
        store: TaskStore,
        root: Path,
        output_dir: Path | None,
        *,
        language: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`language` is a locale's name, as in LANG."""
        self._store = store
        self._root = root
        self._output_dir = output_dir
        self._words = wording_for(language)
        self._clock = clock
        self._event_id = 0
        self._folders: dict[bytes, _Folder] = {}  # those in which something goes on
        self._agenda: list[
            tuple[float, bytes]
        ] = []  # a heap of when they are due; what was put off is in it twice
        self._of_task: dict[str, bytes | None] = {}

    def step(self, now: float) -> float:
        """Take note of what changed, write one report that is due; return when to come again."""
        self._take_note(now)
        name = self._next_due(now)
        if name is None:
            self._forget_resting(now)
            return LOOK_S
        self._write(name, now)
        return BREATH_S

    def close(self) -> None:
        """Write what is left to be written; of very many the rest is for the next start, which reads all events."""
        deadline = time.perf_counter() + CLOSE_S
        self._take_note(0.0)
        for name in [name for name, folder in self._folders.items() if folder.due is not None]:
            if time.perf_counter() < deadline:
                self._write(name, 0.0)

    # ---- what changed ----

    def _take_note(self, now: float) -> None:
        while events := self._store.changed_since(self._event_id, EVENTS_AT_ONCE):
            self._event_id = events[-1].id
            ended = {each.task_id for each in events if _ends_task(each)}
            for task_id in filter(self._is_ours, {each.task_id for each in events}):
                self._note(task_id, now, ended=task_id in ended)

    def _is_ours(self, task_id: str) -> bool:
        """Tell whether files of this task are done here: the reports of others have another place, maybe."""
        return self._store.only is None or task_id in self._store.only

    def _note(self, task_id: str, now: float, *, ended: bool) -> None:
        name = self._folder_of(task_id)
        if name is None:
            return
        self._change(name, now, ended=ended)
        for above in directories_above(name):
            if above not in self._folders and (task := self._store.last_task(above)):
                self._folders[above] = _Folder(task)
            self._change(above, now, ended=ended)

    def _change(self, name: bytes, now: float, *, ended: bool) -> None:
        folder = self._folders.get(name)
        if folder is None:
            return
        before = folder.due
        folder.change(now, ended=ended)
        if folder.due is not None and folder.due != before:
            heappush(self._agenda, (folder.due, name))

    def _next_due(self, now: float) -> bytes | None:
        while self._agenda and self._agenda[0][0] <= now:
            due, name = heappop(self._agenda)
            if name in self._folders and self._folders[name].due == due:
                return name
        return None

    def _forget_resting(self, now: float) -> None:
        """Forget where nothing goes on: of a hundred thousand directories few have to be held in memory."""
        self._folders = {name: each for name, each in self._folders.items() if not each.rests(now)}
        self._of_task = {task_id: name for task_id, name in self._of_task.items() if name in self._folders}

    def _folder_of(self, task_id: str) -> bytes | None:
        """Return the directory that reports a task; None for a task that was forgotten."""
        if task_id not in self._of_task:
            task = self._store.task(task_id)
            self._of_task[task_id] = name = self._place(task) if task else None
            if task and name:
                folder = self._folders.setdefault(name, _Folder(task))
                folder.task = max(folder.task, task, key=lambda each: each.created_at)
        return self._of_task[task_id]

    def _place(self, task: Task) -> bytes:
        """Return the task's directory; a single file's is the one it lies in."""
        files = self._store.files(task.id, limit=1).rows
        if (
            any(each.path == task.dirname for each in files)
            or (self._root / os.fsdecode(task.dirname)).is_file()
        ):
            return split(task.dirname)[0]
        return task.dirname

    # ---- writing ----

    def _write(self, name: bytes, now: float) -> None:
        folder, started = self._folders[name], time.perf_counter()
        folder.due, folder.written_at = None, now
        task = self._store.task(folder.task.id)
        if task is None:
            del self._folders[name]
            return
        try:
            complaints = self._put(name, self._answer(name, task))
        except OSError as error:
            complaints = frozenset(
                [f"{display(name)}: its status report could not be written: {error.strerror}"]
            )
        for words in complaints - folder.complaints:
            logger.warning("%s", words)
        folder.complaints = complaints
        folder.cost = time.perf_counter() - started

    def _answer(self, name: bytes, task: Task) -> dict[str, Any]:
        """Return the monitoring answer over everything in a directory; the pace is that of its newest task."""
        known = self._store.known(name)
        files = [max(rows, key=lambda each: each.id) for _, rows in sorted(known.items())]
        counts = Counter(each.state for each in files)
        shown = replace(task, dirname=name, state=_state(task, counts))
        now = self._clock()
        own = self._store.tallies([task.id])[task.id]
        answer = task_answer(shown, files=files, counts=counts, sums=_seconds(files), now=now)
        return answer | {"eta_seconds": eta_seconds(task, own.counts, own.sums, now)}

    def _put(self, name: bytes, answer: dict[str, Any]) -> frozenset[str]:
        """Put both reports in place; return what is to be said of those that could not be."""
        raw = msgspec.json.format(msgspec.json.encode({"written_by": PROGRAM} | answer), indent=2) + b"\n"
        text = write_status(answer, self._words).encode()
        like = self._root if self._output_dir else None
        with atomic.opened_directory(self._output_dir or self._root, name, like=like) as directory:
            both = ((STATUS_JSON, raw), (STATUS_TXT, text))
            foreign = [file for file, content in both if not post(directory, file, content)]
        return frozenset(f"{display(name)}/{display(file)} is not ours; it was kept" for file in foreign)


def _seconds(files: Sequence[MediaFile]) -> Seconds:
    """Add up as the queue does, over all of a directory."""
    lengths = [(each.duration, each) for each in files if each.duration is not None]
    done = sum(length if each.state in ENDED else min(each.position, length) for length, each in lengths)
    unknown = sum(each.duration is None and each.state in OPEN for each in files)
    return Seconds(sum(length for length, _ in lengths), done, unknown)


def _state(task: Task, counts: Mapping[FileState, int]) -> TaskState:
    """Return how a directory stands: its newest task's state, unless older ones left more to tell."""
    if task.state in ACTIVE or task.state is TaskState.CANCELLED or not counts:
        return task.state
    return TaskState.RUNNING if any(counts[each] for each in OPEN) else ended_task_state(counts)


def _ends_task(event: Event) -> bool:
    return event.kind == EventKind.TASK and TaskState(event.state) not in ACTIVE
