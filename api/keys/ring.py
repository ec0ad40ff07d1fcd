"""The file of keys in memory: looked up on the request path, read again and marked as used beside it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from api.keys import file
from api.keys.key import Key, Scope, matching, new_key
from pipeline.errors import KeysFileError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

LOOK_S = 1.0  # until a key that was added or revoked is taken or refused
MARK_S = 60.0  # between two writings of when keys were used last


class Ring:
    """The keys that are good now. A file that breaks leaves those that were good before, and is complained of."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises KeysFileError where that cannot be done."""
        self.trouble: str | None = None
        self._path = path
        self._stamp = file.stamp(path)
        self._keys = file.read(path)
        self._own, self.own_secret = new_key("this machine", Scope, datetime.now(UTC))
        self._used: set[str] = set()
        self._mark_due = 0.0

    def of_secret(self, secret: str) -> Key | None:
        """Return the key of this secret, if there is one. `own_secret` has a key that no file holds."""
        return matching((*self._keys, self._own), secret)

    def of_id(self, key_id: str) -> Key | None:
        """Return the key of this id, if it is good still."""
        return next((key for key in (*self._keys, self._own) if key.id == key_id), None)

    def used(self, key: Key) -> None:
        """Note that a key was shown; its file learns of it within a minute."""
        if key is not self._own:
            self._used.add(key.id)

    def step(self, now: float) -> float:
        """Read the file again where it changed; write to it when keys were used, once a minute at most."""
        current = file.stamp(self._path)
        if current != self._stamp:
            self._stamp = current
            self._read_again()
        if self._used and now >= self._mark_due:
            self._mark_due = now + MARK_S
            self._mark()
        return LOOK_S

    def _read_again(self) -> None:
        try:
            keys = file.read(self._path)
        except KeysFileError as error:
            self.trouble = f"{error} Until then the keys that were good before still are."
            logger.error("%s", self.trouble)  # noqa: TRY400 - a person's mistake, no defect
            return
        if self.trouble or {key.id for key in keys} != {key.id for key in self._keys}:
            logger.info("%s holds %d keys now", self._path, len(keys))
        self.trouble, self._keys = None, keys

    def _mark(self) -> None:
        used, self._used = self._used, set()
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            file.change(
                self._path,
                lambda keys: tuple(replace(key, last_used=now) if key.id in used else key for key in keys),
            )
        except KeysFileError as error:  # a secret mounted read-only, for instance
            logger.debug("when keys were used is not noted: %s", error)
