"""A file's samples on disk, for exact mode's second pass; gone with the process, whatever ends it."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np

from pipeline.stage.pack.cut import to_float

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Spool:
    """s16 samples in an unlinked temporary file (115 MB an hour), read back as whisper's STFT sees them."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as its track
        self.samples = 0

    def append(self, pcm: NDArray[np.int16]) -> None:
        """Add samples at the end."""
        self._file.seek(2 * self.samples)
        self._file.write(pcm.tobytes())
        self.samples += len(pcm)

    def read(self, start: int, end: int) -> NDArray[np.float32]:
        """Return samples in [-1, 1): mirrored before 0 (torch.stft's reflect padding), zero after the end."""
        if start < 0:
            return np.concatenate([self.read(1, 1 - start)[::-1], self.read(0, end)])
        self._file.seek(2 * start)
        there = np.frombuffer(self._file.read(2 * max(0, min(end, self.samples) - start)), dtype="<i2")
        return np.pad(to_float(there), (0, end - start - len(there)))

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()
