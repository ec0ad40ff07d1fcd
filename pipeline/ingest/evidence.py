"""What lies beside a source: its transcript, whatever the queue remembers."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

from pipeline import outputs
from pipeline.ingest import beneath

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.outputs import Written
    from pipeline.tasks import Fingerprint


class Evidence:
    """Reads transcripts and hashes sources below one workdir."""

    def __init__(self, root: Path, output_dir: Path | None) -> None:
        self._root = root
        self._output_dir = output_dir

    def written(self, path: bytes, fingerprint: Fingerprint) -> Written | None:
        """Return the transcript of this version of a source; None where there is none, or of another version.

        Hashes the source only when its size is that of the transcribed one and its mtime is not. Raises OSError
        where the file system cannot say.
        """
        found = outputs.written_for(self._root, self._output_dir, path)
        try:
            current = found is not None and outputs.is_current(found, fingerprint, lambda: self.sha256(path))
        except OSError as error:
            if error.errno not in outputs.NOT_OURS | {errno.EINVAL}:
                raise
            return None  # gone, or not to be read: the stage will say why
        return found if current else None

    def sha256(self, path: bytes) -> str:
        """Hash a source. Raises OSError."""
        with (
            beneath.opened(os.fsencode(self._root), path) as handle,
            os.fdopen(os.dup(handle), "rb") as source,
        ):
            return hashlib.file_digest(source, "sha256").hexdigest()
