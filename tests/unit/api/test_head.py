"""HEAD, as probes, link checkers and `curl -I` ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fastapi.testclient import TestClient


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/monitoring", "/metrics", "/docs", "/v1/models", "/nowhere"]
)
def test_head_says_what_get_would_say(client: TestClient, path: str) -> None:
    """Status and headers, the length too, and no content."""
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers.keys() == get.headers.keys()
    assert head.headers["content-type"] == get.headers["content-type"]


def test_what_only_posts_has_no_head(client: TestClient) -> None:
    """405, as for GET."""
    assert client.head("/transcription").status_code == 405
