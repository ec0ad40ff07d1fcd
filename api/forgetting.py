"""`forget`: outputs, rows and checkpoints of recordings go; never the recordings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline.ingest.beneath import ROOT, parent
from pipeline.ingest.scan import scan, units
from pipeline.relay.posting import take_down

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.queue.store import TaskStore
    from pipeline.relay.commit import Committer


def forget(store: TaskStore, committer: Committer, root: Path, path: bytes) -> list[bytes]:
    """Erase what is known and written of a recording, or of all below a directory; return the outputs erased.

    Also of those that the queue never knew, or knows no more; and the reports of directories of which nothing more is
    known. Raises ConflictError while a stage holds one.
    """
    known = {file.path for file in store.forget(path)}
    raw = os.fsencode(root)
    places = units(raw) if path == ROOT else [path]
    there = {each.path for place in places for each in scan(raw, place)}
    erased = [output for source in sorted(known | there) for output in committer.erase(source)]
    for folder in {path, *map(parent, known | there)}:
        if not store.known(folder):
            take_down(committer.output_dir or committer.root, folder)
    return erased
