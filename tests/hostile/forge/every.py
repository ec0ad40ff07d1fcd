"""All hostile files, family by family."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.hostile.forge import bombs, boxes, damage, ebml, lists, strangers, things, waves
from tests.hostile.forge.case import Case, outside
from tests.hostile.forge.recordings import CannotMakeError
from tests.hostile.forge.waves import wav

FAMILIES = (damage, waves, boxes, ebml, lists, bombs, things, strangers)


def every() -> Iterator[Case]:
    """Yield every case there is; their names differ."""
    for family in FAMILIES:
        yield from family.cases()


def made_in(folder: Path, cases: list[Case]) -> list[Case]:
    """Make these files in `folder/workdir`, the secret beside it; return those that this machine lets us make."""
    workdir = folder / "workdir"
    workdir.mkdir(parents=True, exist_ok=True)
    secret = outside(workdir / "x") / lists.WITHHELD
    secret.parent.mkdir(exist_ok=True)
    secret.write_bytes(wav())
    return [case for case in cases if _is_made(case, workdir)]


def _is_made(case: Case, workdir: Path) -> bool:
    try:
        case.make(workdir / case.name)
    except (PermissionError, CannotMakeError):  # devices are for root
        return False
    return True
