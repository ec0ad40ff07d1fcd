"""What becomes of files, counted as it happens: the store tells of each change once it is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

from pipeline.spool import is_spooled
from pipeline.tasks import ENDED, FAILURES, FileState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import CollectorRegistry

    from pipeline.tasks import MediaFile, Task

KINDS = ("batch", "request")  # a folder's files; recordings that a client sent and waits for
CODES = frozenset(
    {
        *("bad_options", "changed", "corrupt", "crashed", "decode_stalled", "empty", "gone", "internal"),
        *("kept_out", "media", "no_audio", "not_media", "not_seen", "out_of_memory", "outputs_unwritable"),
        *("outside_workdir", "read_failed", "stalled", "too_long", "unreadable", "worker_lost"),
    }
)
OTHER = "other"  # a code that a newer stage on another machine may know
AT_ONCE = 10_000  # leases whose beginning is remembered: a row that is deleted says no farewell

ARRIVAL_S = (1, 2.5, 5, 10, 15, 30, 60, 300, 900, 3600)
WAIT_S = (1, 5, 15, 30, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400, 259_200)
RUN_S = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 1800, 3600, 10_800, 21_600)


class Flow:
    """Counters and histograms of what happens to files. Called from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make the instruments, every one with all its labels, so that their first step is seen as one."""
        self._arrival = Histogram(
            "whisper_file_discovery",
            "Time from the first sight of a file until it is queued: how long its copying went on, and the quiet time.",
            unit="seconds",
            buckets=ARRIVAL_S,
            registry=registry,
        )
        self._wait = Histogram(
            "whisper_file_wait",
            "Time from the first sight of a file until a stage has it for the first time.",
            ["kind"],
            unit="seconds",
            buckets=WAIT_S,
            registry=registry,
        )
        self._run = Histogram(
            "whisper_file_run",
            "Time from the last lease of a folder's file until its outputs lie there.",
            unit="seconds",
            buckets=RUN_S,
            registry=registry,
        )
        self._ended = Counter(
            "whisper_files_ended", "Files of folders that have ended, by how.", ["state"], registry=registry
        )
        self._failures = Counter(
            "whisper_file_failures", "Files that failed for good, by error code.", ["code"], registry=registry
        )
        self._retries = Counter(
            "whisper_file_retries",
            "Attempts that failed and are made again, by error code.",
            ["code"],
            registry=registry,
        )
        self._began: dict[int, float] = {}  # by file: when its present lease was given
        self._show_all()

    def hear(self, _tasks: Sequence[Task], files: Sequence[MediaFile]) -> None:
        """Count these changes."""
        for file in files:
            self._count(file)

    def _count(self, file: MediaFile) -> None:
        match file.state:
            case FileState.LEASED:
                self._begin(file)
            case FileState.COMMITTING:
                return  # the lease goes on
            case FileState.SETTLING | FileState.QUEUED | FileState.RETRY_WAIT:
                self._queue(file)
            case state if state in ENDED:
                self._end(file)

    def _begin(self, file: MediaFile) -> None:
        self._began[file.id] = file.updated_at
        if len(self._began) > AT_ONCE:
            self._began.pop(next(iter(self._began)), None)
        if file.token == 1:  # which grows with each lease
            self._wait.labels(KINDS[is_spooled(file.path)]).observe(file.updated_at - file.created_at)

    def _queue(self, file: MediaFile) -> None:
        """Count an attempt that failed: it waits before the next, or a child died on it and it is queued at once."""
        was_leased = self._began.pop(file.id, None) is not None
        if file.state is FileState.RETRY_WAIT or (was_leased and file.error):
            self._retries.labels(_code(file)).inc()
        elif file.state is FileState.QUEUED and not was_leased and not file.token:
            self._arrival.observe(file.updated_at - file.created_at)

    def _end(self, file: MediaFile) -> None:
        """Count an end; the row of what a client waited for is deleted when it is done, its answer tells of it."""
        began = self._began.pop(file.id, None)
        if file.state in FAILURES:
            self._failures.labels(_code(file)).inc()
        if not is_spooled(file.path):
            self._ended.labels(file.state).inc()
        if file.state is FileState.DONE and began is not None:
            self._run.observe(file.updated_at - began)

    def _show_all(self) -> None:
        for kind in KINDS:
            self._wait.labels(kind)
        for state in ENDED:
            self._ended.labels(state)
        for code in (*sorted(CODES), OTHER):
            self._failures.labels(code)
            self._retries.labels(code)


def _code(file: MediaFile) -> str:
    return file.error.code if file.error and file.error.code in CODES else OTHER
