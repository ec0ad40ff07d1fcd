"""A small share of `make fuzz`: a real service, asked by schemathesis in ways that nobody thought of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from api.keys import file
from api.keys.key import Scope, new_key
from tests.acceptance.harness import Service, tone
from tests.fuzz.asking import ask

SHARE = ("--seed", "1", "--max-examples", "4", "--phases", "fuzzing", "--no-shrink")


def test_no_request_is_answered_otherwise_than_the_page_says(
    service: Callable[..., Service], tmp_path: Path
) -> None:
    """No 5xx, no status, header or shape that is not documented, on any route; none lets in who shows no good key."""
    key, secret = new_key("fuzz", Scope, datetime.now(UTC))
    file.create(tmp_path / "keys.json")
    file.change(tmp_path / "keys.json", lambda _known: (key,))
    tone(tmp_path / "workdir/talks/a.wav")
    running = service("--api_keys_file", str(tmp_path / "keys.json")).start()
    outcome = ask(running.url, tmp_path / "report.json", *SHARE, key=secret)
    assert outcome.failures == [], outcome.said
    assert outcome.cases > 50
    assert outcome.routes > 20
    assert "Traceback" not in running.log.read_text()
