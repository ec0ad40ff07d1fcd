"""What docs/security.md promises is there: the tests it names, the scopes it lists."""

import re
from pathlib import Path

from api.keys.key import Scope
from api.keys.scopes import NEEDED, OPEN

ROOT = Path(__file__).parents[2]
SECURITY = (ROOT / "docs/security.md").read_text(encoding="utf-8")


def test_every_test_that_the_table_names_exists() -> None:
    """Under exactly that name."""
    told = set(re.findall(r"`(test_\w+)`", SECURITY))
    found = {
        name
        for source in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(
            r"^\s*(?:async )?def (test_\w+)", source.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert told - found == set()


def test_every_risk_names_what_shows_it() -> None:
    """All ten of 2023, each with at least one test."""
    rows = {row.split(" ", 3)[1]: row for row in SECURITY.splitlines() if row.startswith("| API")}
    assert list(rows) == [f"API{number}" for number in range(1, 11)]
    assert [risk for risk, row in rows.items() if "`test_" not in row.rpartition(" | ")[2]] == []


def test_the_table_of_scopes_is_the_programs() -> None:
    """Each route under the scope that the guard asks for."""
    told = {
        route: OPEN if scope == "none" else Scope(scope)
        for scope, routes in re.findall(
            r"^\| `?(none|read|write|admin)`? \| (.*) \|$", SECURITY, re.MULTILINE
        )
        for route in re.findall(r"`([A-Z]+ [^`]+)`", routes)
    }
    assert told == NEEDED
