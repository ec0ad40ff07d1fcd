"""One run of schemathesis against a service that runs, and what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
PROGRAM = Path(sys.executable).with_name("schemathesis")


@dataclass(frozen=True)
class Outcome:
    """How many cases there were, on how many routes, and what was wrong, in schemathesis's own words."""

    cases: int
    routes: int
    failures: list[Any]
    said: str


def ask(url: str, report: Path, *flags: str, key: str | None = None) -> Outcome:
    """Ask a service everything its OpenAPI page allows and forbids; `flags` are schemathesis's own."""
    told = subprocess.run(
        [
            *(str(PROGRAM), "--config-file", str(CONFIG), "run", f"{url}/openapi.json"),
            *("--checks", "all", "--report", "json", "--report-json-path", str(report), *flags),
            *(("-H", f"Authorization: Bearer {key}") if key else ()),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.exists():
        return Outcome(0, 0, ["schemathesis did not run"], told.stdout + told.stderr)
    found = json.loads(report.read_text())
    wrong = found["failures"] + found["errors"] + ([] if found["complete"] else [found["stop_reason"]])
    return Outcome(found["test_cases"]["generated"], found["operations"]["tested"], wrong, told.stdout)
