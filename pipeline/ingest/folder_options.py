"""`whisper.toml`: what a directory says of its own subtree: options, which files, how soon."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import BadOptionsError
from pipeline.ingest import beneath
from pipeline.ingest.beneath import ROOT
from pipeline.ingest.ignore import FOLDER_OPTIONS, as_globs, is_selected
from pipeline.languages import closest
from pipeline.named import parse_named
from pipeline.options import POST_NAMES
from pipeline.tasks import display

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 65_536
INCLUDE, EXCLUDE, PRIORITY = "include", "exclude", "priority"
_KEYS = (*POST_NAMES, INCLUDE, EXCLUDE, PRIORITY)
_MOST = 2**31 - 1  # of a priority either way, as POST has it


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which files below a directory are let in."""

    directory: bytes
    include: tuple[bytes, ...]
    exclude: tuple[bytes, ...]

    def lets_in(self, path: bytes) -> bool:
        within = path if self.directory == ROOT else path[len(self.directory) + 1 :]
        return is_selected(within, self.include, self.exclude)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What all `whisper.toml` files around a directory say together."""

    options: Mapping[str, Any]
    priority: int
    filters: tuple[_Filter, ...]


_NONE = _Rules({}, 0, ())


class FolderOptions:
    """Reads the `whisper.toml` files on the way to a directory, each once in the life of this object."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._read: dict[bytes, _Rules] = {}

    def of(self, directory: bytes) -> Mapping[str, Any]:
        """Return the options named for files in a directory, those nearer to it laid over those farther away.

        Raises BadOptionsError, naming the file, for one that cannot be read, is no TOML or has a bad key or value.
        """
        return self._rules(directory).options

    def priority_of(self, directory: bytes) -> int:
        """Return the priority of files in a directory; the nearest word counts. Raises BadOptionsError."""
        return self._rules(directory).priority

    def lets_in(self, path: bytes) -> bool:
        """Tell whether every `include` and `exclude` around a file lets it in; one with a bad key does."""
        try:
            return all(each.lets_in(path) for each in self._rules(beneath.parent(path)).filters)
        except BadOptionsError:
            return True  # and fails, by the name of that key

    def _rules(self, directory: bytes) -> _Rules:
        if directory not in self._read:
            outer = _NONE if directory == ROOT else self._rules(beneath.parent(directory))
            self._read[directory] = self._laid_over(outer, directory)
        return self._read[directory]

    def _laid_over(self, outer: _Rules, directory: bytes) -> _Rules:
        path = FOLDER_OPTIONS if directory == ROOT else directory + b"/" + FOLDER_OPTIONS
        try:
            with beneath.opened(self._root, path) as handle:
                text = os.read(handle, MAX_BYTES).decode("utf-8-sig")  # some editors begin with a mark
            return _parsed(outer, directory, tomllib.loads(text))
        except (FileNotFoundError, NotADirectoryError):
            return outer
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, BadOptionsError) as error:
            raise BadOptionsError(f"{display(path)}: {error}") from error


def _parsed(outer: _Rules, directory: bytes, table: dict[str, Any]) -> _Rules:
    for key in table:
        if key not in _KEYS:
            raise BadOptionsError(f"unknown option {key!r}.{closest(key, list(_KEYS))}")
    own = _Filter(directory, _globs(table, INCLUDE), _globs(table, EXCLUDE))
    priority = table.get(PRIORITY, outer.priority)
    if type(priority) is not int or abs(priority) > _MOST:
        raise BadOptionsError(f"{PRIORITY} must be a whole number, not {priority!r}")
    named = parse_named({key: value for key, value in table.items() if key in POST_NAMES}, POST_NAMES)
    filters = (*outer.filters, own) if own.include or own.exclude else outer.filters
    return _Rules({**outer.options, **named}, priority, filters)


def _globs(table: Mapping[str, Any], key: str) -> tuple[bytes, ...]:
    globs = table.get(key, [])
    if not isinstance(globs, list) or not all(isinstance(each, str) for each in globs):
        raise BadOptionsError(f'{key} must be a list of globs, as in ["*.mp3"], not {globs!r}')
    return as_globs(globs)
