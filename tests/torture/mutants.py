"""`python -m tests.torture.mutants`: puts one defect at a time into a copy of the tree; each must be noticed.

First each suite runs without a defect and has to pass: what is always red notices nothing. The lanes of the torture do
not: `make torture` says whether they pass.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from tests.torture.arena import MEMORY

logger = logging.getLogger("mutants")

ROOT = Path(__file__).parents[2]
LONGEST_S = 300
LANES = "torture "
QUIET = ("-x", "-q", "-p", "no:cacheprovider", "--timeout", "40")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """In one file, this text becomes that; then what runs must fail."""

    name: str
    file: str
    find: str
    replace: str
    caught_by: str  # a lane of the torture with its options, or what pytest is told


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a suite ended on a tree."""

    noticed: bool
    by: str  # the first test or finding that says so
    seconds: float


def defects() -> list[Defect]:
    """Read the list."""
    listed = tomllib.loads(Path(__file__).with_name("defects.toml").read_text(encoding="utf-8"))
    return [Defect(**each) for each in listed["defect"]]


def run(suite: str, tree: Path) -> Verdict:
    """Run a suite on a tree; a suite that could not even begin has noticed nothing."""
    began = time.monotonic()
    process = subprocess.Popen(
        _command(suite, tree), cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        said = "it did not end"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    lines = [line for line in said.splitlines() if _is_verdict(line, suite)]
    by = lines[0] if lines else said[-300:]
    return Verdict(process.returncode == 1 and bool(lines), by, time.monotonic() - began)


def _is_verdict(line: str, suite: str) -> bool:
    return " | " in line if suite.startswith(LANES) else line.startswith(("FAILED", "ERROR tests"))


def _command(suite: str, tree: Path) -> list[str]:
    if not suite.startswith(LANES):
        return [sys.executable, "-m", "pytest", *QUIET, *suite.split()]
    words = [word.replace("_", " ") for word in suite.removeprefix(LANES).split()]
    results = ("--results", str(tree / "results"), "--minutes", "1.5", "--until_found")
    return [sys.executable, "-m", "tests.torture", *words, *results]


def copy_tree(target: Path) -> None:
    """Copy what Git knows or would know."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def try_out(defect: Defect, tree: Path) -> Verdict:
    """Put a defect in, see who notices, and take it out again."""
    path = tree / defect.file
    good = path.read_text(encoding="utf-8")
    assert good.count(defect.find) == 1, f"{defect.name}: {defect.file} does not hold its text once"
    path.write_text(good.replace(defect.find, defect.replace), encoding="utf-8")
    try:
        return run(defect.caught_by, tree)
    finally:
        path.write_text(good, encoding="utf-8")


@click.command()
@click.option("--only", default="", help="only defects whose name holds this text")
@click.option("--part", default="1/1", help="2/4: the second quarter of them")
def main(only: str, part: str) -> None:
    """Try every defect; exit 1 if one was not noticed."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    number, parts = map(int, part.split("/"))
    chosen = [defect for defect in defects() if only in defect.name][number - 1 :: parts]
    tree = Path(tempfile.mkdtemp(prefix="mutants-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        copy_tree(tree)
        suites = sorted({each.caught_by for each in chosen if not each.caught_by.startswith(LANES)})
        red = [suite for suite in suites if _is_red(suite, tree)]
        missed = [each.name for each in chosen if not _is_noticed(each, tree)]
    finally:
        shutil.rmtree(tree)
    logger.info("%d of %d defects noticed", len(chosen) - len(missed), len(chosen))
    sys.exit(bool(red or missed))


def _is_red(suite: str, tree: Path) -> bool:
    verdict = run(suite, tree)
    if verdict.noticed:
        logger.error("%s fails without any defect: %s", suite, verdict.by)
    return verdict.noticed


def _is_noticed(defect: Defect, tree: Path) -> bool:
    verdict = try_out(defect, tree)
    how = "noticed" if verdict.noticed else "NOT NOTICED"
    logger.info("%s | %s | %.0f s | %s | %s", defect.name, how, verdict.seconds, defect.caught_by, verdict.by)
    return verdict.noticed


if __name__ == "__main__":
    main()
