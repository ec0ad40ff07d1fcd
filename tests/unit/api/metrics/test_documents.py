"""docs/metrics.md, the dashboard and the alerts speak of the metrics that are told, and of all of them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from api.metrics.flow import CODES
from api.service import Core
from pipeline.relay.links import StageInfo
from pipeline.settings import Settings

ROOT = Path(__file__).parents[4]
DOCS = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
BOARD = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text(encoding="utf-8"))
SUFFIXES = {
    "counter": ["_total"],
    "info": ["_info"],
    "gauge": [""],
    "histogram": ["_bucket", "_count", "_sum"],
}
TOLD_AS = {"counter": "_total", "info": "_info"}


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    """Return a core with a stage, after a request."""
    core = Core(Settings(workdir=tmp_path_factory.mktemp("workdir"), quiet_seconds=0.0))
    core.dispatch.stages = [
        StageInfo(worker="a", device="cpu", phase="ready", detail="", fraction=None, figures={}, jobs=0)
    ]
    core.figures.requests.answered({"method": "GET"}, 200, 0.1)
    yield core
    core.close()


@pytest.fixture(scope="module")
def families(core: Core) -> list[Metric]:
    text = core.figures.shown("application/openmetrics-text")[0].decode()
    return list(text_string_to_metric_families(text))


@pytest.fixture(scope="module")
def samples(families: list[Metric]) -> set[str]:
    return {f"{each.name}{suffix}" for each in families for suffix in SUFFIXES[each.type]}


def cells(document: str) -> Iterator[list[str]]:
    """Yield the cells of every row of a table."""
    for line in document.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line[1:].rstrip("|").split("|")]


def described(family: Metric) -> list[str]:
    """Return the row that describes a metric."""
    labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
    unit = next((unit for unit in ("seconds", "bytes", "ratio") if family.name.endswith(f"_{unit}")), "")
    told = [f"`{family.name}{TOLD_AS.get(family.type, '')}`", family.type, unit]
    return [*told, " ".join(sorted(f"`{label}`" for label in labels)), family.documentation]


def expressions(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
NAME = re.compile(r"\b(?:whisper|http|process|python)_[a-z_]+(?=[{\[) ,]|$)")


def test_every_metric_is_documented_as_it_is_and_no_other(families: list[Metric]) -> None:
    """Name, type, unit, labels and meaning."""
    told = [row for row in cells(DOCS) if len(row) == 5 and row[0].startswith("`")]
    for row in told:
        row[3] = " ".join(sorted(row[3].split()))
    assert sorted(map(described, families)) == sorted(told)


def test_codes_are_those_of_the_documents() -> None:
    """A code that a file may have is a label value of its own; `no_media` is a task's."""
    section = OPERATIONS.split("\n## Error codes\n", 1)[1].split("\n## ", 1)[0]
    told = {row[0].strip("`") for row in cells(section) if row[0].startswith("`")}
    assert told == CODES | {"no_media"}


def test_the_dashboard_shows_metrics_that_are_told(samples: set[str]) -> None:
    """A panel of a metric that was renamed would stay empty for ever."""
    named = {name for expression in expressions(BOARD) for name in NAME.findall(expression)}
    assert named
    assert named - samples == set()


def test_the_alerts_watch_metrics_that_are_told(samples: set[str]) -> None:
    """An alert of a metric that was renamed would stay silent for ever."""
    named = {name for rule in RULES for name in NAME.findall(rule["expr"])}
    assert named
    assert named - samples == set()


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It names no data source of its own, no two panels share an id, and none lies over another."""
    variables = {each["name"]: each["type"] for each in BOARD["templating"]["list"]}
    assert variables == {"datasource": "datasource", "instance": "query"}
    assert BOARD["schemaVersion"] >= 36
    panels = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in BOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24


def test_every_alert_is_explained() -> None:
    """What it means and what to do stand in docs/operations.md, for each alert and no other."""
    section = OPERATIONS.split("\n## Alerts\n", 1)[1].split("\n## ", 1)[0]
    told = [row[0].strip("`") for row in cells(section) if row[0].startswith("`")]
    assert sorted(told) == sorted(rule["alert"] for rule in RULES)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is part of Prometheus")
def test_promtool_finds_nothing_wrong(core: Core) -> None:
    """It knows more rules than we do, and which alerts fire when."""
    for command, name in (("check", "alerts.yml"), ("test", "alerts_test.yml")):
        told = subprocess.run(
            ["promtool", command, "rules", name],
            cwd=ROOT / "deploy/prometheus",
            capture_output=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
    lint = subprocess.run(
        ["promtool", "check", "metrics"], input=core.figures.shown("")[0], capture_output=True, check=False
    )
    assert lint.stderr == b""
