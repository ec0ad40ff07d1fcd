"""CUDA graphs: what a step asks of the device, captured once and launched whole from then on.

Nothing but `Cuda` knows CUDA. Another device that can do work again over the same tensors can stand in for it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

import torch

from pipeline.stage.transcribe.shortage import is_shortage

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[], None]

logger = logging.getLogger(__name__)


class Device(Protocol):
    """What captures work, and does it again over the same tensors."""

    def pool(self) -> Any:
        """Return where graphs that live and die together keep what they compute on the way."""
        ...

    def warm(self, work: Work) -> None:
        """Do work that may be captured later."""
        ...

    def capture(self, work: Work, pool: Any) -> Work:
        """Return what does this work again, without doing it now."""
        ...


class Cuda:
    """The current CUDA device."""

    def __init__(self) -> None:
        # capturing needs one of its own, and libraries keep memory for each
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def pool(self) -> Any:
        """Return a new pool: torch refuses one whose graphs have all been let go."""
        return torch.cuda.graph_pool_handle()

    def warm(self, work: Work) -> None:
        """Do the work where it will be captured, so that libraries have what they need there."""
        main = torch.cuda.current_stream()
        self._stream.wait_stream(main)
        with torch.cuda.stream(self._stream):
            work()
        main.wait_stream(self._stream)

    def capture(self, work: Work, pool: Any) -> Work:
        """Capture; other threads may use CUDA meanwhile."""
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.stream(self._stream),  # torch does not leave its stream where a capture fails
            torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"),
        ):
            work()
        return graph.replay


class Graphs:
    """Captures steps of so many windows at most, as long as that succeeds."""

    def __init__(self, device: Device, most: int) -> None:
        self.most = most
        self._device = device
        self._works = True
        self.pool, self.warm = device.pool, device.warm

    def captured(self, work: Work, pool: Any) -> Work | None:
        """Return what does this work again; None where it cannot be captured, and from then on.

        Raises what memory that runs out raises.
        """
        if not self._works:
            return None
        try:
            return self._device.capture(work, pool)
        except RuntimeError as error:
            if is_shortage(error):
                raise
            logger.warning("CUDA graphs are not used: %s", error)
            self._works = False
            return None
