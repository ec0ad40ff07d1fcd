"""Browsers that showed a key carry a cookie instead: they cannot send headers with event streams."""

from __future__ import annotations

import hashlib
import secrets

COOKIE = "whisper_session"
LIFE_S = 12 * 3600
MAX = 1000  # then the oldest goes: one key cannot fill the memory


class Browsers:
    """Who is logged in, in memory: a restart, a revoked key, leaving or half a day ends it."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, float]] = {}  # a cookie's hash: its key's id, when it ends

    def admit(self, key_id: str, now: float) -> str:
        """Return the cookie of a browser that showed this key. `now` is monotonic."""
        while len(self._known) >= MAX:
            del self._known[next(iter(self._known))]
        cookie = secrets.token_urlsafe(32)
        self._known[_digest(cookie)] = (key_id, now + LIFE_S)
        return cookie

    def key_id(self, cookie: str, now: float) -> str | None:
        """Return the id of the key that a cookie stands for."""
        key_id, end = self._known.get(_digest(cookie), (None, 0.0))
        return key_id if now < end else None

    def dismiss(self, cookie: str) -> None:
        """End what this cookie began."""
        self._known.pop(_digest(cookie), None)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
