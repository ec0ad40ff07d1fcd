"""Which route asks for which scope: the whole table, and what is not in it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.keys.key import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

OPEN = None  # no key asked for

NEEDED: Mapping[str, Scope | None] = {
    # for probes, and for people who have yet to show their key: nothing here is about any recording
    "GET /": OPEN,
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /docs": OPEN,
    "GET /docs/{asset}": OPEN,
    "GET /openapi.json": OPEN,
    "POST /login": OPEN,
    "POST /logout": OPEN,
    "GET /monitoring": Scope.READ,
    "GET /monitoring/events": Scope.READ,
    "GET /monitoring/{task_id}": Scope.READ,
    "GET /transcription/{task_id}/files/{path}": Scope.READ,
    "GET /metrics": Scope.READ,
    "GET /v1/models": Scope.READ,
    "GET /v1/models/{model}": Scope.READ,
    "POST /transcription": Scope.WRITE,
    "POST /transcription/upload": Scope.WRITE,
    "POST /transcription/{task_id}/retry": Scope.WRITE,
    "DELETE /transcription/{task_id}": Scope.WRITE,
    "POST /v1/audio/transcriptions": Scope.WRITE,
    "POST /v1/audio/translations": Scope.WRITE,
    "POST /forget": Scope.ADMIN,
    "POST /rescan": Scope.ADMIN,
    "POST /pause": Scope.ADMIN,
    "POST /resume": Scope.ADMIN,
}


def needed(method: str, path: str) -> Scope | None:
    """Return what a route (its path as OpenAPI writes it) asks for; of one that nobody thought of, the most."""
    return NEEDED.get(f"{method.upper()} {path}", Scope.ADMIN)
