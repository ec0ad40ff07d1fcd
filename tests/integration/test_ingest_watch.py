"""Real watchdog, real files, real time: each file that comes is queued once, and soon."""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.ingest import watch as watch_module
from pipeline.ingest.intake import Intake
from pipeline.ingest.rescan import Rescan
from pipeline.ingest.watch import Watch
from pipeline.ingest.writers import ignore_lease_signals
from pipeline.queue.database import open_database
from pipeline.queue.store import TaskStore
from pipeline.runner import Runner
from pipeline.tasks import FileState
from tests.acceptance.harness import ROOT, until

QUIET_S = 0.6
PATIENCE_S = 60.0  # of the tests


class Service:
    """Intake, and what the test starts beside it, in threads of their own."""

    def __init__(self, base: Path, quiet_seconds: float) -> None:
        self.workdir = base / "workdir"
        self.workdir.mkdir()
        self.base = base
        self.database = open_database(f"sqlite:///{base}/queue.db")
        self.store = TaskStore(self.database)
        self.store.open_epoch()
        self.intake = Intake(self.store, self.workdir, output_dir=None, quiet_seconds=quiet_seconds)
        self.watch: Watch | None = None
        self.rescan: Rescan | None = None
        self._runners = [Runner("intake", self.intake)]

    def start(self, *, watch: bool = True, polling: bool | None = None, rescan: str | None = None) -> None:
        if watch:
            self.watch = Watch(self.workdir, self.intake, polling=polling)
            self.watch.start()
            self._runners.append(Runner("watch", self.watch))
        if rescan:
            self.rescan = Rescan(self.intake, rescan)
            self.rescan.start()
            self._runners.append(Runner("rescan", self.rescan))
        for runner in self._runners:
            runner.start()

    def stop(self) -> None:
        for part in (self.watch, self.rescan):
            if part:
                part.stop()
        for runner in self._runners:
            runner.stop()
        self.database.close()

    def is_watched(self) -> bool:
        observer = self.watch._observer
        return observer is not None and observer.is_whole()

    def queued(self) -> list[str]:
        return sorted(row.path.decode() for row in self.store.in_state(FileState.QUEUED))

    def rows(self) -> list[str]:
        return sorted(row.path.decode() for row in self.store.in_state(*FileState))

    def wait_for(self, *paths: str) -> None:
        """Wait until exactly these are queued."""
        deadline = time.monotonic() + PATIENCE_S
        while self.queued() != sorted(paths):
            assert time.monotonic() < deadline, self.rows()
            time.sleep(0.05)


@pytest.fixture
def service(tmp_path: Path) -> Any:
    ignore_lease_signals()
    service = Service(tmp_path, QUIET_S)
    yield service
    service.stop()


@pytest.fixture
def patient(tmp_path: Path) -> Any:
    """Return a service whose quiet time is longer than a test: only an event's word makes a file ready."""
    ignore_lease_signals()
    service = Service(tmp_path, 2 * PATIENCE_S)
    yield service
    service.stop()


def test_a_copied_file_is_queued_soon_after_it_is_closed(patient: Service) -> None:
    """Long before its quiet time is over."""
    (patient.workdir / "a").mkdir()
    patient.start()
    (patient.workdir / "a/x.mp3").write_bytes(b"sound")
    patient.wait_for("a/x.mp3")


def test_what_lay_there_before_the_start_is_found(service: Service) -> None:
    """The watch comes first, then a look at everything."""
    (service.workdir / "a").mkdir()
    (service.workdir / "a/x.mp3").write_bytes(b"sound")
    service.start()
    service.wait_for("a/x.mp3")


def move_in(service: Service) -> None:
    (service.base / "outside/deep").mkdir(parents=True)
    (service.base / "outside/deep/x.mp3").write_bytes(b"sound")
    (service.base / "outside").rename(service.workdir / "in")
    service.wait_for("in/deep/x.mp3")


def test_a_directory_moved_in_is_queued_at_once(patient: Service) -> None:
    """It does not wait for its quiet time either, nor do files that are copied into it later."""
    patient.start()
    move_in(patient)
    (patient.workdir / "in/deep/y.mp3").write_bytes(b"more")
    patient.wait_for("in/deep/x.mp3", "in/deep/y.mp3")


def test_a_directory_moved_in_is_watched(service: Service) -> None:
    """With its subdirectories, and those that are made in it later."""
    service.start()
    move_in(service)
    (service.workdir / "in/new").mkdir()
    (service.workdir / "in/new/z.mp3").write_bytes(b"more")
    service.wait_for("in/deep/x.mp3", "in/new/z.mp3")


def test_a_slow_writer_is_waited_for(service: Service) -> None:
    """It pauses longer than the quiet time with the file open, and the file is queued whole, once."""
    service.start()
    (service.workdir / "a").mkdir()
    with (service.workdir / "a/x.mp3").open("wb") as file:
        for _ in range(2):
            file.write(b"part")
            file.flush()
            time.sleep(QUIET_S * 3)
            assert service.queued() == []
    service.wait_for("a/x.mp3")
    (row,) = service.store.in_state(*FileState)
    assert row.fingerprint.size == 8


def test_a_part_renamed_to_its_name_is_queued_once(service: Service) -> None:
    """As browsers and rsync do it."""
    service.start()
    (service.workdir / "a").mkdir()
    for name in ("x.mp3.part", ".y.mp3.AbC123"):
        (service.workdir / "a" / name).write_bytes(b"sound")
    time.sleep(1)
    assert service.rows() == []
    (service.workdir / "a/x.mp3.part").rename(service.workdir / "a/x.mp3")
    (service.workdir / "a/.y.mp3.AbC123").rename(service.workdir / "a/y.mp3")
    service.wait_for("a/x.mp3", "a/y.mp3")
    assert service.rows() == ["a/x.mp3", "a/y.mp3"]


def test_outputs_wake_nobody(service: Service) -> None:
    """What we write makes no notice, or it would never be quiet: one recording makes as many without it."""
    folder = service.workdir / "a"
    folder.mkdir()
    service.start()
    noticed: list[tuple[bytes, ...]] = []
    service.intake.notice = lambda _folder, closed=(), **_: noticed.append(tuple(closed))

    def notices_of(recording: str) -> int:
        (folder / recording).write_bytes(b"sound")
        until(lambda: (b"a/" + recording.encode(),) in noticed)
        count = len(noticed)
        noticed.clear()
        return count

    notices_of("first.mp3")
    alone = notices_of("second.mp3")
    for name in (".x.json.1.wtmp", "x.txt", "transcription-status.json"):
        (folder / name).write_bytes(b"text")
    (folder / ".x.json.1.wtmp").rename(folder / "x.json")
    (folder / "x.txt").read_bytes()
    assert notices_of("third.mp3") == alone


def test_lost_events_are_made_up_for_by_rescans(service: Service) -> None:
    """No watcher at all."""
    service.start(watch=False, rescan="1s")
    (service.workdir / "a").mkdir()
    (service.workdir / "a/x.mp3").write_bytes(b"sound")
    service.wait_for("a/x.mp3")


def test_polling_finds_what_comes(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network mount."""
    monkeypatch.setattr(watch_module, "POLL_S", 0.5)
    service.start(polling=True)
    assert service.watch.kind == "polling"
    assert service.watch.degraded is None
    (service.workdir / "a").mkdir()
    (service.workdir / "a/x.mp3").write_bytes(b"sound")
    service.wait_for("a/x.mp3")


def test_a_removed_and_recreated_workdir_is_watched_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its watch went with it."""
    monkeypatch.setattr(watch_module, "STEP_S", 0.2)
    service.start()
    shutil.rmtree(service.workdir)
    until(lambda: not service.is_watched())
    service.workdir.mkdir()
    until(service.is_watched)
    (service.workdir / "a").mkdir()
    (service.workdir / "a/x.mp3").write_bytes(b"sound")
    service.wait_for("a/x.mp3")
    assert service.watch.kind == "inotify"


def test_an_overflow_of_the_kernels_queue_loses_nothing(service: Service) -> None:
    """The reader is held up while more happens than the queue holds; then everything is looked at."""
    held = threading.Event()
    released = threading.Event()
    service.start()
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    reader = service.watch._observer._reader
    handle = reader.handle_event

    def hold(event: Any) -> None:
        held.set()
        released.wait()
        handle(event)

    reader.handle_event = hold
    (service.workdir / "a").mkdir()
    assert held.wait(PATIENCE_S)
    for _ in range(limit // 2 + 100):
        (service.workdir / "noise").touch()
        (service.workdir / "noise").unlink()
    (service.workdir / "b").mkdir()
    (service.workdir / "b/x.mp3").write_bytes(b"sound")
    released.set()
    service.wait_for("b/x.mp3")


NAMESPACE = ("unshare", "--user", "--map-root-user")


@pytest.mark.skipif(
    subprocess.run((*NAMESPACE, "true"), check=False).returncode != 0, reason="no user namespaces here"
)
def test_the_watch_limit_falls_back_to_polling_and_says_what_to_raise(tmp_path: Path) -> None:
    """Else watchdog goes on with a part of the tree, silently. A namespace has a limit of its own to lower."""
    call = f"from {__name__} import with_few_watches; with_few_watches({str(tmp_path)!r})"
    subprocess.run((*NAMESPACE, sys.executable, "-c", call), check=True, cwd=ROOT, timeout=PATIENCE_S)


def with_few_watches(base: str) -> None:
    """Begin with more directories than watches; find what comes all the same."""
    Path("/proc/sys/user/max_inotify_watches").write_text("5")
    watch_module.STEP_S, watch_module.POLL_S = 0.2, 0.5
    ignore_lease_signals()
    service = Service(Path(base), QUIET_S)
    for number in range(20):
        (service.workdir / f"{number}").mkdir()
    service.start()
    until(lambda: service.watch.kind == "polling")
    assert "fs.inotify.max_user_watches" in service.watch.degraded
    (service.workdir / "19/x.mp3").write_bytes(b"sound")
    service.wait_for("19/x.mp3")
    service.stop()


def test_a_directory_that_is_seen_twice_is_no_news(tmp_path: Path) -> None:
    """An upload's log was told of all watches: its directory is made, and moved before the watcher has looked."""
    twice = (
        "import sys; from pipeline.ingest.inotify import _Reader; reader = _Reader(print, print); "
        "[reader.add_callback(sys.argv[1].encode(), 0x100, print, 1) for _ in range(2)]"
    )
    ran = subprocess.run(
        [sys.executable, "-c", twice, str(tmp_path)], capture_output=True, cwd=ROOT, timeout=60, check=True
    )
    assert ran.stderr == b""
