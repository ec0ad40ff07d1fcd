"""How far a one-shot call is: bars on a terminal, elsewhere plain lines now and then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pipeline.tasks import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping

LINE_S = 10.0  # between plain lines
FIRST_S = 2.0  # before which a pace says nothing


class Board:
    """The tasks of one call by id and name, shown until it ends."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._console = Console(stderr=True)
        columns = (
            *(TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn()),
            *(TextColumn("{task.fields[pace]}", markup=False), TimeElapsedColumn()),
        )
        self._bars = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._rows = {
            task_id: self._bars.add_task(name, total=1.0, pace="") for task_id, name in names.items()
        }
        self._paces = {task_id: Pace(time.monotonic()) for task_id in names}
        self._said = 0.0
        self._states: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._bars.stop()

    def show(self, answers: Mapping[str, Mapping[str, Any]]) -> None:
        """Show how far each task is, its real-time factor and the time left."""
        now = time.monotonic()
        paces = {task_id: self._paces[task_id].of(answer, now) for task_id, answer in answers.items()}
        for task_id, answer in answers.items():
            self._bars.update(self._rows[task_id], completed=answer["progress"], pace=paces[task_id])
        if not self._console.is_terminal:
            self._lines(answers, paces, now)

    def _lines(self, answers: Mapping[str, Mapping[str, Any]], paces: Mapping[str, str], now: float) -> None:
        states = {task_id: answer["task_status"] for task_id, answer in answers.items()}
        if states == self._states and now - self._said < LINE_S:
            return
        self._states, self._said = states, now
        for task_id, answer in answers.items():
            words = (f"{self._names[task_id]}:", states[task_id], f"{answer['progress']:.0%}", paces[task_id])
            print(*filter(None, words), file=sys.stderr)


class Pace:
    """How fast one task goes, from its first progress on: seconds of audio a second, and the seconds left."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._before: float | None = None  # seconds of audio that were done already

    def of(self, answer: Mapping[str, Any], now: float) -> str:
        """Return both in words, as far as they are known."""
        done = answer["progress"] * (answer["audio_seconds"] or 0.0)
        if self._before is None:
            self._before = done
        words = []
        if now - self._began >= FIRST_S and done > self._before:
            words.append(f"{(done - self._before) / (now - self._began):.1f}x real time")
        if answer["eta_seconds"] is not None and answer["task_status"] == TaskState.RUNNING:
            words.append(f"{answer['eta_seconds']:.0f} s left")
        return ", ".join(words)
