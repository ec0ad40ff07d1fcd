"""The whole service: every hostile file at once with good ones around, and links swapped while it works."""

from __future__ import annotations

import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.harness import Service, tone
from tests.hostile.forge.case import DONE
from tests.hostile.forge.every import every, made_in
from tests.hostile.swapper import SOURCES, WATCHED, as_it_is, swapped, swapping
from tests.hostile.trace import STRACE

pytestmark = [pytest.mark.at_length, pytest.mark.timeout(900)]

GOOD = 20
SWAPS_S = 60.0
RESTS = 20  # rounds in which nothing is rewritten, so that something ends
LISTING = re.compile(
    r" getdents64\(| openat\(AT_FDCWD<.*O_DIRECTORY\) = |<\.\.\. openat resumed>\) += \d+<[^>]*/(talks|deep)>$"
)
HEARD = {"--no_watch": re.compile(r"(?!)"), "--watch": LISTING}
RESTS_OF_SWAPPER = {
    "--no_watch": 50.0,
    "--watch": 1000.0,
}  # what the watcher hears of all the time is never quiet
OPENED = re.compile(r'\.wav", O_RDONLY\|O_NONBLOCK\|O_NOFOLLOW.*= \d+<')
STEPS_ASIDE = ["-D", "-f", "-y", "--seccomp-bpf", "-qq"]  # the service stays our child

Make = Callable[..., Service]


def is_seen(path: Path) -> bool:
    """Tell whether a scan takes it for a file at all: FIFOs, devices, folders and links to nothing are none."""
    try:
        return path.is_symlink() or stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def test_the_good_are_done_and_each_bad_one_says_why(
    service: Make,
    tmp_path: Path,
    figure: Callable[[str], None],
) -> None:
    """No attempt in vain, nothing of it beside the workdir, no process or temporary file left."""
    cases = {case.name: case for case in made_in(tmp_path, list(every()))}
    workdir = tmp_path / "workdir"
    for number in range(GOOD):
        tone(workdir / f"good-{number:02}.wav", 1.0, 300 + number)
    withheld = as_it_is(tmp_path / "outside")
    running, began = service().start(), time.monotonic()
    answer = running.done(".", 600)
    took = time.monotonic() - began
    files = {file["path"]: file for file in answer["files"]}
    good = [file["status"] for name, file in files.items() if name.startswith("good-")]
    assert good == [DONE] * GOOD
    for name, case in cases.items():
        if name in files:
            assert end_of(files[name]) in case.ends, files[name]
            assert files[name]["attempts"] <= 1
        else:
            assert not is_seen(workdir / name) or not (workdir / name).exists(), name
    children = psutil.Process(running.find("core").pid).children(recursive=True)
    assert running.stop() == 0
    assert not [child for child in children if child.is_running()]
    assert not list(workdir.rglob("*.wtmp"))
    assert as_it_is(tmp_path / "outside") == withheld
    assert "Traceback" not in running.log.read_text()
    ends = Counter(end_of(files[name]) for name in cases if name in files)
    figure(f"service: {GOOD} good and {ends.total()} hostile files in {took:.0f} s: {dict(ends)}")


def end_of(file: dict[str, Any]) -> str:
    return DONE if file["status"] == DONE else file["error"]["code"]


@pytest.mark.skipif(not STRACE, reason="needs strace")
@pytest.mark.parametrize("flag", HEARD)
def test_the_service_stays_inside_while_links_are_swapped(
    service: Make,
    tmp_path: Path,
    seed: int,
    figure: Callable[[str], None],
    flag: str,
) -> None:
    """Recordings are touched, asked for and read for a minute: what any process opens lies below the root.

    But for watchdog, which lists by its path a directory that was moved in; it opens no file, and what it hears of
    names is a hint that only a look through our own doors follows.
    """
    workdir = tmp_path / "workdir"
    withheld = swapped(workdir)
    before, trace = as_it_is(withheld), tmp_path / "trace"
    running = service("--rescan_cron", "1s", flag, workdir=workdir)
    running.command[:0] = [str(STRACE), *STEPS_ASIDE, "-e", WATCHED, "-o", str(trace)]
    folders = {path: os.open((workdir / os.fsdecode(path)).parent, os.O_RDONLY) for path in SOURCES}
    running.start()
    with swapping(workdir, seed, RESTS_OF_SWAPPER[flag]):
        done, rounds = kept_busy(running, folders, time.monotonic() + SWAPS_S)
    assert running.stop() == 0
    assert as_it_is(withheld) == before
    lines = trace.read_text(errors="replace").splitlines()
    assert [line for line in lines if f"<{withheld}" in line and not HEARD[flag].search(line)] == []
    tried = sum(bool(OPENED.search(line)) for line in lines)
    assert tried
    about = (
        f"{done} recordings done in {rounds} rounds of {SWAPS_S:.0f} s, {tried} sources opened, none outside"
    )
    figure(f"swaps beside the service ({flag}): {about}")


def kept_busy(running: Service, sources: dict[bytes, int], until: float) -> tuple[int, int]:
    """Touch, post and read until it is time; return how many recordings were done, and how often we asked."""
    rounds = 0
    while time.monotonic() < until:
        for path, folder in sources.items() if rounds % RESTS == 0 else ():
            with suppress(OSError):
                os.utime(path.rpartition(b"/")[2], dir_fd=folder, follow_symlinks=False)
            running.ask("POST", "/transcription", {"dirname": os.fsdecode(path), "force": True})
        rounds += 1
        for task in running.tasks():
            running.ask("GET", f"/transcription/{task['task_id']}/files/{task['dirname']}?format=json")
        time.sleep(0.2)
    return sum(task["counts"].get(DONE, 0) for task in running.tasks()), rounds
