"""`whisper.toml`: a directory's own options for its subtree."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Any

from pipeline.errors import BadOptionsError
from pipeline.ingest import beneath
from pipeline.ingest.beneath import ROOT
from pipeline.ingest.ignore import FOLDER_OPTIONS
from pipeline.options import POST_NAMES, parse_named
from pipeline.tasks import display

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 65_536


class FolderOptions:
    """Reads the `whisper.toml` files on the way to a directory, each once in the life of this object."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._read: dict[bytes, Mapping[str, Any]] = {}

    def of(self, directory: bytes) -> Mapping[str, Any]:
        """Return the options named for files in a directory, those nearer to it laid over those farther away.

        Raises BadOptionsError, naming the file, for one that cannot be read, is no TOML or has a bad key or value.
        """
        if directory not in self._read:
            outer = {} if directory == ROOT else self.of(beneath.parent(directory))
            self._read[directory] = {**outer, **self._own(directory)}
        return self._read[directory]

    def _own(self, directory: bytes) -> dict[str, Any]:
        path = FOLDER_OPTIONS if directory == ROOT else directory + b"/" + FOLDER_OPTIONS
        try:
            with beneath.opened(self._root, path) as handle:
                text = os.read(handle, MAX_BYTES).decode()
            return parse_named(tomllib.loads(text), POST_NAMES)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, BadOptionsError) as error:
            raise BadOptionsError(f"{display(path)}: {error}") from error
