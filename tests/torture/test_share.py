"""The share of the torture that every test run takes: a seeded handful of trials on a real service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture import faults, migration, power, syscalls
from tests.torture.arena import Arena
from tests.torture.faults import Orders
from tests.torture.zygote import ROOT

SEED = 7
CUTS = 30
DEATHS = 4
pytestmark = pytest.mark.skipif(faults.why_not() is not None, reason=str(faults.why_not()))

WORK = """
import os, sys
os.chdir(sys.argv[1])
for number in range(3):
    os.mkdir(f"d{number}")
    fd = os.open("new", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"one"); os.pwrite(fd, b"two", 3); os.ftruncate(fd, 4); os.fsync(fd); os.fdatasync(fd)
    os.close(fd)
    os.link("new", "other", follow_symlinks=False); os.rename("new", "moved"); os.unlink("other")
"""
TRACED = {
    "write": "write", "pwrite": "pwrite64", "truncate": "ftruncate", "fsync": "fsync", "fdatasync": "fdatasync",
    "link": "linkat", "rename": "rename", "unlink": "unlink", "mkdir": "mkdir",
}  # fmt: skip


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    with Arena(name="share", haste=4.0, keep=tmp_path / "found") as arena:
        yield arena


def test_power_cuts_lose_nothing_that_was_acknowledged(arena: Arena) -> None:
    """A few of many; all others are for `make torture`."""
    found = {str(cut): power.trial(arena, cut).findings for cut in power.points(arena, SEED)[:CUTS]}
    assert not {cut: each for cut, each in found.items() if each}


def test_broken_calls_lose_nothing_and_do_nothing_twice(arena: Arena) -> None:
    """Two of two thousand; all others are for `make torture`."""
    chain = syscalls.Chain(syscalls.points(arena, SEED)[0].faults[:2])
    made = syscalls.trial(arena, chain)
    assert not made.findings, str(chain)


def test_a_migration_that_dies_leaves_the_old_queue_or_the_new_one(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few of two hundred deaths, with a few of 100,000 rows."""
    monkeypatch.setattr(migration, "ROWS", 500)
    deaths = migration.points(arena, SEED)[:DEATHS]
    made = [migration.trial(arena, death) for death in deaths]
    assert [each.struck for each in made] == [1] * DEATHS
    assert not {each.point: each.findings for each in made if each.findings}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_library_counts_what_strace_counts(tmp_path: Path) -> None:
    """No call of those that can be broken goes past it."""
    orders = Orders(tmp_path / "orders")
    library = str(faults.library(tmp_path))
    log, folder = tmp_path / "strace", tmp_path / "work"
    folder.mkdir()
    core = [sys.executable, "-c", WORK, str(folder), "start-service"]
    env = os.environ | {"LD_PRELOAD": library, "TORTURE_ORDERS": str(orders.path)}
    traced = ["-o", str(log), "-e", "trace=" + ",".join(TRACED.values())]
    answer = subprocess.run(["strace", *traced, *core], env=env, cwd=ROOT, capture_output=True, check=False)
    if answer.returncode:
        pytest.skip(f"strace does not work here: {answer.stderr.decode()[-200:]}")
    seen = Counter(match[1] for match in re.finditer(r"^(\w+)\(", log.read_text(), re.MULTILINE))
    counted = orders.counts()
    assert {name: counted["core", name] for name in TRACED} == {
        name: seen[call] for name, call in TRACED.items()
    }
