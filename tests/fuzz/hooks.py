"""What schemathesis must not do to others: a callback it invents would be somebody's address."""

from __future__ import annotations

from typing import Any

import schemathesis
from pydantic import HttpUrl, TypeAdapter, ValidationError

NOBODY = "https://callback.invalid/"  # RFC 6761: never resolves


@schemathesis.hook
def map_body(_context: schemathesis.HookContext, body: Any) -> Any:
    """Let a callback that would be taken lead nowhere; what is no address stays as it is."""
    if isinstance(body, dict) and _is_address(body.get("callback_url")):
        return body | {"callback_url": NOBODY}
    return body


def _is_address(value: object) -> bool:
    try:
        TypeAdapter(HttpUrl).validate_python(value)
    except ValidationError:
        return False
    return True
