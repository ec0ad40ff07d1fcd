"""Where trials take place: a folder in memory, a zygote, and what all rigs of a run have in common."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.postgres import Cluster
from tests.torture.rig import Rig
from tests.torture.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.torture.checker import Finding

MEMORY = Path("/dev/shm")  # noqa: S108 - thousands of commits: a disk would take its time to flush


class Arena:
    """Makes rigs; keeps the folders of those where something was found."""

    def __init__(  # noqa: PLR0913 - in what runs differ
        self,
        *,
        name: str,
        haste: float,
        journal: str = "delete",
        postgres: bool = False,
        keep: Path | None = None,
        memory: Path | None = None,
    ) -> None:
        """`keep` is where folders go in which something was found, `memory` a file that outlives the run."""
        self._folder = Path(tempfile.mkdtemp(prefix="torture-", dir=MEMORY if MEMORY.is_dir() else None))
        self._keep = keep
        self._memory = memory
        self.name = name
        self.haste = haste
        self.journal = journal
        self.template: Path | None = None
        self._cluster = Cluster() if postgres else None
        self.zygote = Zygote(self._folder, haste, journal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.zygote.close()
        if self._cluster:
            self._cluster.remove()
        shutil.rmtree(self._folder)

    @property
    def folder(self) -> Path:
        """A place for what trials share."""
        return self._folder

    @property
    def on_postgres(self) -> bool:
        """Whether each rig's queue is a database of its own on a server."""
        return self._cluster is not None

    def rig(self, name: str, **more: Any) -> Rig:
        """Make a rig in a folder of its own."""
        prefix = re.sub(r"\W+", "-", name) + "-"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self._folder))
        if self._cluster:
            more["database_url"] = self._cluster.create(folder.name.lower())
        return Rig(folder, self.zygote, **more)

    def recall(self, make: Callable[[], Mapping[str, int]]) -> Mapping[str, int]:
        """Return what the first slice of a run saw, or see it now: all slices have to choose from the same points."""
        if self._memory and self._memory.exists():
            remembered: Mapping[str, int] = json.loads(self._memory.read_bytes())
            return remembered
        seen = make()
        if self._memory:
            self._memory.write_text(json.dumps(seen))
        return seen

    def keep_or_forget(self, rig: Rig, found: Sequence[Finding]) -> None:
        """Remove a rig's folder, or move it to where it can be looked at."""
        if found and self._keep:
            self._keep.mkdir(parents=True, exist_ok=True)
            shutil.move(rig.folder, self._keep / rig.folder.name)
        else:
            shutil.rmtree(rig.folder)
