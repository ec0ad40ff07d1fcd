"""The one loaded model of a worker: loading it, giving it batches, and what happens when it fails."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Literal

from pipeline.errors import ModelUnavailableError, PipelineError
from pipeline.relay.messages import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.stage.transcribe.engine import Engine, Reply, Request
    from pipeline.stage.transcribe.load import Loader

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 0.5


class Model:
    """At most one engine at a time."""

    def __init__(self, loader: Loader, send: Callable[[Status], None]) -> None:
        self._loader = loader
        self._send = send
        self._engine: Engine | None = None
        self._seconds_a_row = loader.guess
        self._measured = False
        self._reported_at = float("-inf")
        self.name: str | None = None
        self.batch_size = 1

    @property
    def engine(self) -> Engine:
        """The loaded engine."""
        assert self._engine, "load() comes first"  # noqa: S101 - invariant
        return self._engine

    def load(self, name: str) -> None:
        """Have this model ready; raises PipelineError when it is not to be had."""
        if self.name == name:
            return
        self.unload()
        self._send(Status(phase="loading", detail=name))
        try:
            self._engine = self._loader.engine(name, self._report)
        except MemoryError as error:
            raise ModelUnavailableError(f"{name} does not fit into the device's memory") from error
        self.name, self.batch_size = name, self._engine.slots
        self._seconds_a_row, self._measured = self._loader.guess, False
        self._send(Status(phase="ready", detail=name))

    def unload(self) -> None:
        """Let the model leave the device."""
        if self._engine:
            self._engine.close()
        self._engine, self.name = None, None

    def expected(self, rows: int) -> float:
        """Return in how many seconds a batch of this many rows should end, by the slowest so far."""
        return self._seconds_a_row * rows

    def transcribe(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """Return a reply, or what went wrong, for each request: one bad row does not spoil the others.

        Out of memory: once more, as the engine has emptied its cache, then in halves, which are remembered.
        Raises RuntimeError where it comes from CUDA: only a new process can use the device again.
        """
        began = time.monotonic()
        replies = self._attempt(requests, may_repeat=True)
        taken = (time.monotonic() - began) / len(requests)
        self._seconds_a_row = max(taken, self._seconds_a_row) if self._measured else taken
        self._measured = True
        return replies

    def _attempt(self, requests: Sequence[Request], *, may_repeat: bool) -> list[Reply | Exception]:
        try:
            return self._decoded(requests)
        except Exception as error:  # the fence around a batch; each row's own fault is found below
            if isinstance(error, RuntimeError) and self._loader.on_gpu:
                raise
            failure = error.with_traceback(None)  # it would keep the batch's tensors alive
            if not isinstance(error, (MemoryError, PipelineError)):
                logger.exception("a batch of %d windows failed", len(requests))
        is_memory = isinstance(failure, MemoryError)
        if is_memory and may_repeat:
            return self._attempt(requests, may_repeat=False)
        if len(requests) == 1:
            return [failure]
        half = len(requests) // 2
        if is_memory:
            self.batch_size = half
            logger.warning("out of memory: batches of %d windows from now on", half)
        halves = requests[:half], requests[half:]
        return [reply for part in halves for reply in self._attempt(part, may_repeat=False)]

    def _decoded(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        self.engine.admit(requests)
        replies: dict[int, Reply] = {}
        while self.engine.running:
            replies |= {id(request): reply for request, reply in self.engine.advance()}
        return [replies[id(request)] for request in requests]

    def _report(self, detail: str, fraction: float | None) -> None:
        """Pass on what the loader says, not more often than anybody reads."""
        now = time.monotonic()
        if now - self._reported_at >= REPORT_EVERY_S or fraction in {None, 1.0}:
            self._reported_at = now
            is_download = detail.startswith("downloading")
            phase: Literal["downloading", "loading"] = "downloading" if is_download else "loading"
            self._send(Status(phase=phase, detail=detail, fraction=fraction))
