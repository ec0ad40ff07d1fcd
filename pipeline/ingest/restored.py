"""Files that waited before the core started: a copy of the queue knows nothing of what was done after it was made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline import outputs
from pipeline.ingest import beneath
from pipeline.ingest.placing import is_forced
from pipeline.options import contradicts

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.outputs import Written
    from pipeline.queue.store import TaskStore
    from pipeline.tasks import MediaFile


class Restored:
    """Looks beside files that were in the queue when this was made; newer ones were judged as they settled."""

    def __init__(self, store: TaskStore, root: Path, output_dir: Path | None) -> None:
        self._store = store
        self._root = root
        self._output_dir = output_dir
        self._newest = store.newest_file()

    def transcript(self, row: MediaFile) -> Written | None:
        """Return the transcript of just this version of a file, where it is what its row asks for; hashes nothing.

        None where the file is to be done in any case, or is another by now, which its stage will notice. Raises
        OSError where the file system cannot say.
        """
        if row.id > self._newest:
            return None
        written = outputs.written_for(self._root, self._output_dir, row.path)
        if written is None or written.fingerprint != row.fingerprint:
            return None
        if contradicts(row.options, written.options, written.language):
            return None
        return written if self._is_still(row) and not is_forced(self._store.task(row.task_id)) else None

    def _is_still(self, row: MediaFile) -> bool:
        look = beneath.look(os.fsencode(self._root), row.path)
        return look is not None and look.fingerprint == row.fingerprint
