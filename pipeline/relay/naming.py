"""Which names a source's outputs take in a directory: never one that holds what somebody else wrote or edited."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pipeline.errors import ConflictError
from pipeline.options import FORMATS
from pipeline.outputs import RESERVED, bases, output_name, recorded_names, records, sha256_of
from pipeline.provenance import is_sealed, open_regular, read_provenance
from pipeline.tasks import display

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Placed = tuple[bytes, str]  # an output's name and the SHA-256 of what we put there


class Claims:
    """What one source has in a directory: the names it may write are the free ones and its own, unedited."""

    def __init__(self, source: bytes, directory: int | None, placed: Iterable[Placed] = ()) -> None:
        """Read the source's JSONs in `directory` (None: it does not exist yet); `placed` vouches for more."""
        self.source = source
        self._directory = directory
        self.records = [] if directory is None else records(source, directory)
        self._vouched = set(placed)
        for _, provenance in self.records:
            self._vouched.update(recorded_names(source, provenance).items())

    def holder(self, name: bytes) -> str | None:
        """Return the SHA-256 of the file of this name, None if there is none. Raises OSError for what is no file."""
        return None if self._directory is None else sha256_of(name, self._directory)

    def held(self, placed: Placed) -> str | None:
        """Return the hash of what has an output's name now; raises FileExistsError where that is a stranger's."""
        name, sha256 = placed
        held = self.holder(name)
        if held in (None, sha256) or self.is_own(name, held):
            return held
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)

    def may_take(self, name: bytes) -> bool:
        """Tell whether the name is free, or holds an unedited output of this source."""
        if name in RESERVED:
            return False
        try:
            return (held := self.holder(name)) is None or self.is_own(name, held)
        except OSError:  # a folder, a link, a file we may not read
            return False

    def is_own(self, name: bytes, held: str | None) -> bool:
        """Tell whether a file with this content is an output of this source as we wrote it."""
        return (name, held) in self._vouched or self._is_own_json(name)

    def own_files(self) -> list[bytes]:
        """Return the names of this source's outputs that are there, unedited; JSONs last."""
        names = [name for _, provenance in self.records for name in recorded_names(self.source, provenance)]
        names += [name for name, _ in self.records]
        return [name for name in dict.fromkeys(names) if self._is_there(name) and self.may_take(name)]

    def owner(self, base: bytes) -> str | None:
        """Return the other source whose JSON has this base name, if there is one."""
        name = output_name(base, "json")
        if self._directory is None or name in RESERVED:
            return None
        try:
            provenance = read_provenance(name, self._directory)
        except OSError:
            return None
        if provenance is None or provenance.source.name == display(self.source):
            return None
        return provenance.source.name

    def _is_there(self, name: bytes) -> bool:
        try:
            return self.holder(name) is not None
        except OSError:
            return False

    def _is_own_json(self, name: bytes) -> bool:
        if self._directory is None or all(name != own for own, _ in self.records):
            return False
        with os.fdopen(open_regular(name, self._directory), "rb") as file:
            return is_sealed(file.read())


def choose_names(claims: Claims, formats: Collection[str]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return a name for each format, and a warning for each name that was passed over.

    An output keeps the name that it has, and the warnings of then. Raises ConflictError when every name is taken.
    """
    names = {format_of(name): name for name in claims.own_files() if format_of(name) in formats}
    warnings = list(claims.records[-1][1].names_taken) if names else []
    for base in bases(claims.source):
        missing = [format_ for format_ in FORMATS if format_ in formats and format_ not in names]
        if not missing:
            return names, tuple(dict.fromkeys(warnings))
        if owner := claims.owner(base):
            warnings.append(f"{display(base)}.* are the outputs of {owner}; these got longer names")
            continue
        for format_ in missing:
            name = output_name(base, format_)
            if claims.may_take(name):
                names[format_] = name
            else:
                warnings.append(
                    f"{display(name)} is not ours or was edited: it was kept, this got a longer name"
                )
    raise ConflictError(f"{display(claims.source)}: every name for its outputs is taken")


def format_of(name: bytes) -> str:
    """Return the format that an output's name ends with."""
    return name.rpartition(b".")[2].decode()
