"""What schemathesis must not do to others, and what it must not expect."""

from __future__ import annotations

from typing import Any

import schemathesis
from pydantic import HttpUrl, TypeAdapter, ValidationError

NOBODY = "https://callback.invalid/"  # RFC 6761: never resolves
ADDED = "x-schemathesis-unknown-property"


@schemathesis.hook
def map_body(_context: schemathesis.HookContext, body: Any) -> Any:
    """Let a callback that would be taken lead nowhere, not to somebody; what is no address stays as it is."""
    if isinstance(body, dict) and _is_address(body.get("callback_url")):
        return body | {"callback_url": NOBODY}
    return body


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Leave out requests that are wrong for a header that nobody declared: HTTP lets clients send any."""
    return ADDED not in (case.headers or {})


def _is_address(value: object) -> bool:
    try:
        TypeAdapter(HttpUrl).validate_python(value)
    except ValidationError:
        return False
    return True
