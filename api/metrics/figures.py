"""All figures of one core, in a registry of their own: two cores in one process do not mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from api.metrics.flow import Flow
from api.metrics.http import Requests
from api.metrics.state import State

if TYPE_CHECKING:
    from api.service import Core

OPENMETRICS = "application/openmetrics-text"

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each: when it began


class Figures:
    """What is counted from the start of a core on, and how it stands."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.flow = Flow(self._registry)
        self.requests = Requests(self._registry)
        self._callbacks = Counter(
            "whisper_callback_attempts",
            "Attempts to deliver a callback, by how they ended.",
            ["result"],
            registry=self._registry,
        )
        for result in ("delivered", "put_off", "given_up"):
            self._callbacks.labels(result)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def watch(self, core: Core) -> None:
        """Look things up in this core, once all of it is there."""
        self._registry.register(State(core))

    def called_back(self, result: str) -> None:
        """Count an attempt to deliver a callback."""
        self._callbacks.labels(result).inc()

    def shown(self, accept: str) -> tuple[bytes, str]:
        """Return all of it as text and its content type: OpenMetrics for who accepts it, else Prometheus's own."""
        # The library's own reading of the header raises where a version in it is no number.
        encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in accept else "")
        return encode(self._registry), content_type
