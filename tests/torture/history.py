"""The API's log: what the service acknowledged, written down by its client the moment the answer came."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """One answer: a task that was accepted, or looked at with its files' states."""

    at: float  # monotonic seconds
    task_id: str
    task_status: str
    dirname: str
    files: Mapping[str, str] = field(default_factory=dict)  # path -> status


class History:
    """Answers in the order they came, in a file that outlives the trial."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.answers: list[Acknowledged] = []

    def add(self, answer: Mapping[str, Any]) -> None:
        """Write down one answer of POST /transcription or GET /monitoring/{id}."""
        entry = Acknowledged(
            at=time.monotonic(),
            task_id=answer["task_id"],
            task_status=answer["task_status"],
            dirname=answer["dirname"],
            files={each["path"]: each["status"] for each in answer.get("files", ())},
        )
        self.answers.append(entry)
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(entry)) + "\n")
