"""Which engine and which voice activity detection a worker runs; torch is imported only for the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.stage.transcribe.engine import Engine, Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Builds engines for one device."""

    kind: str  # "whisper" or "fake"
    cache: Path
    device: str
    dtype: str
    threads: int

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")

    @property
    def guess(self) -> float:
        """Seconds that a window takes, before any was measured: a large model on a slow CPU keeps pace with speech."""
        return 0.0 if self.kind == "fake" else 30.0

    def engine(self, model: str, report: Callable[[str, float | None], None]) -> Engine:
        """Find, verify and load a model, telling `report` what is going on and which fraction of it is done."""
        if self.kind == "fake":
            from pipeline.stage.transcribe.fake import FakeEngine

            return FakeEngine(model)
        from pipeline.stage.transcribe import weights, whisper

        checkpoint = weights.ensure(model, self.cache, report)
        return whisper.load(checkpoint, self.device, self.dtype, self.threads, report)

    def voice(self) -> Voice:
        """Return voice activity detection for one file."""
        if self.kind == "fake":
            from pipeline.stage.pack.cut import Everything

            return Everything()
        from pipeline.stage.transcribe.voice import Voice as Silero

        return Silero()
