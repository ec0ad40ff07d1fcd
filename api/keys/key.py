"""One key: what is remembered of it, and the secret that only its owner has."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

_SECRET = re.compile(r"wt_([0-9a-f]{64})([0-9a-f]{8})")


class Scope(StrEnum):
    """What a key allows; none includes another, so that a key may submit and not read."""

    READ = "read"  # how tasks stand, transcripts, metrics
    WRITE = "write"  # submit, upload, transcribe, cancel, retry
    ADMIN = "admin"  # pause, resume, rescan, forget


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key as its file knows it: of the secret only a hash, which suffices as the secret is random and long."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}$")]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    scopes: frozenset[Scope]
    created: datetime
    last_used: datetime | None = None


def new_key(name: str, scopes: Iterable[Scope], now: datetime) -> tuple[Key, str]:
    """Make a key; return it and its secret, which exists nowhere else."""
    secret = _new_secret()
    key = Key(
        id=secrets.token_hex(4), name=name, sha256=_digest(secret), scopes=frozenset(scopes), created=now
    )
    return key, secret


def is_whole(secret: str) -> bool:
    """Tell whether a secret has the form and checksum of one of ours: else it was cut off or mistyped."""
    match = _SECRET.fullmatch(secret)
    return match is not None and _checksum(match[1]) == match[2]


def matching(keys: Iterable[Key], secret: str) -> Key | None:
    """Return the key of this secret. Takes as long whichever of them it is, and however much of it is right."""
    wanted, found = _digest(secret), None
    for key in keys:
        if hmac.compare_digest(key.sha256, wanted):
            found = key
    return found


def _new_secret() -> str:
    """Return 256 random bits with a prefix and a checksum: scanners find it where it does not belong."""
    bits = secrets.token_hex(32)
    return f"wt_{bits}{_checksum(bits)}"


def _checksum(bits: str) -> str:
    return f"{zlib.crc32(bits.encode()):08x}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
