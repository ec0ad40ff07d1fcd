"""The one loaded model of a worker, and the batch that runs through it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from pipeline.errors import ModelUnavailableError
from pipeline.relay.messages import Status
from pipeline.stage.work.batch import Batch
from pipeline.stage.work.meter import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.stage.transcribe.engine import Engine
    from pipeline.stage.transcribe.load import Loader

REPORT_EVERY_S = 0.5


class Model:
    """At most one engine at a time."""

    def __init__(self, loader: Loader, send: Callable[[Status], None]) -> None:
        self._loader = loader
        self._send = send
        self._reported_at = float("-inf")
        self._batch: Batch | None = None
        self.name: str | None = None

    @property
    def engine(self) -> Engine:
        """The loaded engine."""
        return self.batch.engine

    @property
    def batch(self) -> Batch:
        """What runs through it."""
        assert self._batch, "load() comes first"  # noqa: S101 - invariant
        return self._batch

    @property
    def slots(self) -> int:
        """Windows side by side; one as long as there is no model."""
        return self._batch.slots if self._batch else 1

    def reading(self, now: float, *, audio: float, waiting: float) -> Reading:
        """Return where its counters stand, beside those of the files; all 0 without a model."""
        batch = self._batch
        return Reading(
            at=now,
            busy=batch.busy if batch else 0.0,
            steps=batch.engine.effort.steps if batch else 0,
            row_steps=batch.engine.effort.row_steps if batch else 0,
            windows=batch.ended if batch else 0,
            audio=audio,
            rows=min(self.slots, batch.engine.rows) if batch else 0,
            waiting=waiting,
        )

    def load(self, name: str) -> None:
        """Have this model ready; raises PipelineError when it is not to be had."""
        if self.name == name:
            return
        self.unload()
        self._send(Status(phase="loading", detail=name))
        try:
            engine = self._loader.engine(name, self._report)
        except MemoryError as error:
            raise ModelUnavailableError(f"{name} does not fit into the device's memory") from error
        self._batch = Batch(engine, guess=self._loader.guess, on_gpu=self._loader.on_gpu)
        self.name = name
        self._send(Status(phase="ready", detail=name))

    def unload(self) -> None:
        """Let the model leave the device."""
        if self._batch:
            self._batch.engine.close()
        self._batch, self.name = None, None

    def _report(self, detail: str, fraction: float | None) -> None:
        """Pass on what the loader says, not more often than anybody reads."""
        now = time.monotonic()
        if now - self._reported_at >= REPORT_EVERY_S or fraction in {None, 1.0}:
            self._reported_at = now
            is_download = detail.startswith("downloading")
            phase: Literal["downloading", "loading"] = "downloading" if is_download else "loading"
            self._send(Status(phase=phase, detail=detail, fraction=fraction))
