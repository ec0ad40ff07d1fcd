"""How things stand when somebody asks: the service, its queue, its stages, scans and disks."""

from __future__ import annotations

import os
import threading
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from api.condition import problems
from api.metrics.flow import KINDS
from pipeline import VERSION
from pipeline.errors import UnavailableError
from pipeline.relay.messages import Status
from pipeline.tasks import FileState, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from api.service import Core
    from pipeline.relay.links import StageInfo

REST = 20  # what took a while to look up is not looked up again for so many times as long
PATIENCE_S = 5.0  # with a look that does not end (a share that hangs); then the last one is told
PHASES: tuple[str, ...] = get_args(get_type_hints(Status)["phase"])
FIGURES = {  # of a stage: its own name for it, ours, the unit and what it means
    "device_busy": (
        "whisper_stage_device_busy",
        "ratio",
        "Share of the last half minute that the stage's device was computing.",
    ),
    "batch_fill": (
        "whisper_stage_batch_fill",
        "ratio",
        "Share of the places in the running batch that held a window, over the last half minute.",
    ),
    "real_time_factor": (
        "whisper_stage_real_time_factor",
        "",
        "Seconds of audio done in a second, over the last half minute.",
    ),
    "decoded_seconds_waiting": (
        "whisper_stage_decoded_audio",
        "seconds",
        "Audio that is decoded and waits for a place in the batch.",
    ),
}


class State(Collector):
    """Looks things up on demand, for one asker at a time, and remembers them for as long as looking deserves."""

    def __init__(self, core: Core, clock: Callable[[], float] = time.monotonic) -> None:
        self._core = core
        self._clock = clock
        self._looking = threading.Lock()
        self._families: list[Metric] = []
        self._due = float("-inf")

    def collect(self) -> Iterable[Metric]:
        """Return every family as it stands, or stood a moment ago."""
        if self._looking.acquire(timeout=PATIENCE_S):
            try:
                self._look_when_due()
            finally:
                self._looking.release()
        return self._families

    def _look_when_due(self) -> None:
        began = self._clock()
        if began < self._due:
            return
        self._families = list(
            chain(self._service(), self._queue(), self._work(), self._stages(), self._scans(), self._disks())
        )
        ended = self._clock()
        self._due = ended + REST * (ended - began)

    def _service(self) -> Iterator[Metric]:
        model = Path(self._core.settings.options.model).name
        yield InfoMetricFamily(
            "whisper_build",
            "What runs.",
            {"version": VERSION, "model": model, "queue": self._core.database.journal},
        )
        yield _gauge(
            "whisper_ready", "1 when work is accepted and done, as /readyz says.", not problems(self._core)
        )
        yield _gauge("whisper_paused", "1 while batch work is paused.", bool(self._core.dispatch.paused))
        live = self._core.live
        yield _gauge("whisper_sse_clients", "Clients that follow events now.", live.listeners)
        yield _gauge("whisper_sse_lag", "Events that the slowest of them has still to hear.", live.lag)

    def _queue(self) -> Iterator[Metric]:
        try:
            census = self._core.store.census()
        except UnavailableError:
            return  # whisper_ready is 0
        yield _by(
            "whisper_tasks",
            "Tasks by state.",
            ("state",),
            {(state,): census.tasks.get(state, 0) for state in TaskState},
        )
        files = {"batch": census.files, "request": census.spooled}
        yield _by(
            "whisper_files",
            "Files by state; queued and retry_wait are the depth of the queue.",
            ("kind", "state"),
            {(kind, state): files[kind].get(state, 0) for kind in KINDS for state in FileState},
        )
        oldest = {"batch": census.oldest_queued_at, "request": census.oldest_spooled_at}
        now = time.time()
        yield _by(
            "whisper_queue_oldest_age",
            "For how long the file that waits longest has been queued; 0 when none is.",
            ("kind",),
            {(kind,): max(0.0, now - since) if since else 0.0 for kind, since in oldest.items()},
            "seconds",
        )
        yield _gauge(
            "whisper_callbacks_pending", "Callbacks that are still to be delivered.", census.callbacks
        )

    def _work(self) -> Iterator[Metric]:
        totals = self._core.dispatch.totals
        yield _counter("whisper_transcribed_windows", "Windows that the stages finished.", totals.windows)
        yield _counter(
            "whisper_transcribed_audio", "Audio that the stages worked through.", totals.seconds, "seconds"
        )

    def _stages(self) -> Iterator[Metric]:
        restarts = CounterMetricFamily(
            "whisper_stage_restarts",
            "Transcription processes that died or were lost, and were started again.",
            labels=["device"],
        )
        stages = sorted(self._core.dispatch.stages, key=lambda stage: (stage.device, stage.worker))
        deaths = self._core.dispatch.totals.deaths
        for device in sorted({*deaths, *(stage.device for stage in stages)}):
            restarts.add_metric([device], deaths[device])
        yield restarts
        yield from _of_stages(stages)

    def _scans(self) -> Iterator[Metric]:
        last = self._core.intake.last_scan
        yield _gauge(
            "whisper_last_scan_duration",
            "How long the last look at the whole workdir took; 0 before the first.",
            last.seconds if last else 0.0,
            "seconds",
        )
        yield _gauge(
            "whisper_last_scan_timestamp",
            "When it ended, in seconds since the epoch; 0 before the first.",
            time.time() - (time.monotonic() - last.ended) if last else 0.0,
            "seconds",
        )

    def _disks(self) -> Iterator[Metric]:
        free = GaugeMetricFamily(
            "whisper_disk_free", "Room for us on the disk of this folder.", labels=["folder"], unit="bytes"
        )
        size = GaugeMetricFamily(
            "whisper_disk_size", "Size of the disk of this folder.", labels=["folder"], unit="bytes"
        )
        for name, folder in _folders(self._core).items():
            try:
                disk = os.statvfs(folder)
            except OSError:
                continue  # not mounted, which whisper_ready tells
            free.add_metric([name], disk.f_bavail * disk.f_frsize)
            size.add_metric([name], disk.f_blocks * disk.f_frsize)
        yield free
        yield size


def _folders(core: Core) -> dict[str, Path]:
    folders = {
        "workdir": core.settings.workdir,
        "queue": core.place.folder,
        "output_dir": core.settings.output_dir,
    }
    return {name: folder for name, folder in folders.items() if folder}


def _of_stages(stages: list[StageInfo]) -> Iterator[Metric]:
    """Describe each stage, numbered: the name of a worker is another one at each start."""
    labels = ["stage", "device"]
    phase = GaugeMetricFamily(
        "whisper_stage_phase", "1 for what the stage is about, 0 for the rest.", labels=[*labels, "phase"]
    )
    jobs = GaugeMetricFamily("whisper_stage_jobs", "Files that the stage has.", labels=labels)
    figures = {
        key: GaugeMetricFamily(name, text, labels=labels, unit=unit)
        for key, (name, unit, text) in FIGURES.items()
    }
    for number, stage in enumerate(stages):
        this = [str(number), stage.device]
        for each in PHASES:
            phase.add_metric([*this, each], each == stage.phase)
        jobs.add_metric(this, stage.jobs)
        for key, family in figures.items():
            family.add_metric(this, stage.figures.get(key, 0.0))  # a device at rest says none
    yield from (phase, jobs, *figures.values())


def _gauge(name: str, text: str, value: float, unit: str = "") -> Metric:
    return GaugeMetricFamily(name, text, value=value, unit=unit)


def _counter(name: str, text: str, value: float, unit: str = "") -> Metric:
    return CounterMetricFamily(name, text, value=value, unit=unit)


def _by(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], Any], unit: str = ""
) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels, unit=unit)
    for each, value in values.items():
        family.add_metric(each, value)
    return family
