"""The secret that callbacks are signed with: given in a file, or made once and kept beside the queue."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from standardwebhooks import Webhook

from pipeline.errors import BadOptionsError, EnvironmentUnusableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME = "callback-secret"
PREFIX = "whsec_"
BYTES = (24, 64)  # that the specification allows; ours has 32


class Signer:
    """Signs messages with every secret that there is, so that receivers can change from one to the next."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._webhooks = [Webhook(key) for key in keys]

    def headers(self, message_id: str, body: bytes, now: float) -> dict[str, str]:
        """Return the three headers of Standard Webhooks for an attempt at this time."""
        moment = datetime.fromtimestamp(int(now), UTC)
        signatures = [each.sign(message_id, moment, body.decode()) for each in self._webhooks]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": " ".join(signatures),
        }


def load(file: Path) -> list[str]:
    """Return the secrets of a file, one a line. Raises BadOptionsError, which names none of them."""
    try:
        keys = file.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise BadOptionsError(f"callback_secret_file {file} cannot be read: {error}") from error
    if not keys or not all(map(_is_secret, keys)):
        raise BadOptionsError(
            f"callback_secret_file {file} holds no secret, or a wrong one: a line is {PREFIX} and 24 to 64 random"
            " bytes in base64"
        )
    return keys


def load_or_make(given: Path | None, folder: Path) -> list[str]:
    """Return the secrets of the file given, else the one in the queue's folder, made there once for its user alone."""
    if given is not None:
        return load(given)
    file = folder / NAME
    if not file.exists():
        _make(file)
    return load(file)


def _make(file: Path) -> None:
    temporary = file.with_name(f".{NAME}.{secrets.token_hex(8)}")
    secret = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:  # noqa: PTH123
            out.write(f"{secret}\n")
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
    except OSError as error:
        raise EnvironmentUnusableError(
            f"the secret of callbacks cannot be written to {file} ({error.strerror}); give a --callback_secret_file"
        ) from error


def _is_secret(key: str) -> bool:
    try:
        raw = base64.b64decode(key.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        return False
    return key.startswith(PREFIX) and BYTES[0] <= len(raw) <= BYTES[1]
