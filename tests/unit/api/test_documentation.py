"""The OpenAPI page: whole without internet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastapi.testclient import TestClient

from api.app import create_app

if TYPE_CHECKING:
    from api.service import Core


def test_the_page_and_all_its_parts_come_from_here(core: Core) -> None:
    """Nothing is asked of another host, whatever the prefix."""
    client = TestClient(create_app(core, root_path="/voice"))
    page = client.get("/voice/docs").text
    assert re.findall(r"https?://[^\"' ]+", page) == []
    parts = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert len(parts) == 3
    for part in parts:
        assert part.startswith("/voice/docs/")
        assert len(client.get(part).content) > 1000


def test_other_files_are_not_served(client: TestClient) -> None:
    """Only the page's own parts."""
    assert client.get("/docs/redoc.standalone.js").status_code in (400, 404)
    assert client.get("/docs/..%2f__init__.py").status_code == 404
