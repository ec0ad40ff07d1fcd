"""One real service, watched from outside while it does its work: what it tells Prometheus, and what its log holds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.harness import Service, tone, until

SECONDS = 3.0
BATCH = {"kind": "batch"}


@dataclass(frozen=True)
class Watched:
    """What was seen of it: its figures at the end, its task, every line of its log."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]
    task: dict[str, Any]
    log: list[dict[str, Any]]

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name, frozenset(labels.items())]

    def about(self, file: str) -> list[str]:
        """Return what the log says of a file, found by its id, the later half of each line."""
        (file_id,) = {line["file_id"] for line in self.log if line.get("path") == file and "file_id" in line}
        lines = [line for line in self.log if line.get("file_id") == file_id]
        assert {line["task_id"] for line in lines} == {self.task["task_id"]}
        return [line["message"].partition(": ")[2] for line in lines]


def scrape(service: Service) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    status, text = service.ask("GET", "/metrics")
    assert status == 200
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Have two recordings and a text that calls itself one worked through; kill the transcriber; stop it all."""
    workdir = tmp_path_factory.mktemp("watched") / "workdir"
    talks = workdir / "talks"
    tone(talks / "a.wav", SECONDS)
    tone(talks / "b.wav", SECONDS, pitch=550.0)
    (talks / "c.mp3").write_text("no sound at all")
    service = Service(
        workdir,
        *("--engine", "fake", "--quiet_seconds", "1"),
        globals_=("--log_format", "json", "--log_level", "debug"),
    ).start()
    try:
        task = service.done("talks")
        service.ask("GET", "/no/such/path")
        service.kill("child")
        restarts = ("whisper_stage_restarts_total", frozenset({("device", "cpu")}))
        until(lambda: scrape(service).get(restarts) == 1)
        samples = scrape(service)
        assert service.stop() == 0
        yield Watched(samples, task, [json.loads(line) for line in service.log.read_text().splitlines()])
    finally:
        if service.process and service.process.poll() is None:
            for child in psutil.Process(service.process.pid).children(recursive=True):
                child.kill()
            service.process.kill()


def test_what_became_of_the_files_is_counted(watched: Watched) -> None:
    """By state in the queue, and as it happened, with the code of what failed."""
    assert watched.task["task_status"] == "partial"
    assert watched.value("whisper_files", **BATCH, state="done") == 2
    assert watched.value("whisper_files", **BATCH, state="failed") == 1
    assert watched.value("whisper_tasks", state="partial") == 1
    assert watched.value("whisper_files_ended_total", state="done") == 2
    assert watched.value("whisper_file_failures_total", code="not_media") == 1
    assert watched.value("whisper_queue_oldest_age_seconds", **BATCH) == 0


def test_the_times_of_the_files_are_measured(watched: Watched) -> None:
    """Each rested for its quiet second, waited for a stage, and ran."""
    discovery = watched.value("whisper_file_discovery_seconds_sum")
    assert watched.value("whisper_file_discovery_seconds_count") == 3
    assert discovery >= 3 * 1.0
    assert watched.value("whisper_file_wait_seconds_count", **BATCH) == 3
    assert watched.value("whisper_file_wait_seconds_sum", **BATCH) >= discovery
    assert watched.value("whisper_file_run_seconds_count") == 2


def test_the_work_of_the_stage_is_counted(watched: Watched) -> None:
    """Audio by the second, windows, and the death of its child."""
    assert watched.value("whisper_transcribed_audio_seconds_total") == pytest.approx(2 * SECONDS, abs=0.1)
    assert watched.value("whisper_transcribed_windows_total") >= 2
    assert watched.value("whisper_stage_restarts_total", device="cpu") == 1


def test_the_service_and_its_requests_are_told(watched: Watched) -> None:
    """When it last looked at everything, what it was asked, how much room there is."""
    assert watched.value("whisper_last_scan_timestamp_seconds") == pytest.approx(time.time(), abs=120)
    assert watched.value("http_requests_total", method="GET", route="unmatched", status="404") == 1
    assert (
        watched.value("http_requests_total", method="GET", route="/monitoring/{task_id}", status="200") >= 1
    )
    assert (
        0
        < watched.value("whisper_disk_free_bytes", folder="workdir")
        <= watched.value("whisper_disk_size_bytes", folder="workdir")
    )
    assert watched.value("process_resident_memory_bytes") > 1e7


def test_a_files_life_is_found_by_its_id(watched: Watched) -> None:
    """Whichever process wrote the line."""
    assert watched.about("talks/a.wav") == [
        "is still being written",
        "is queued",
        "is begun",
        "is transcribed; its outputs are put in place",
        "is done",
    ]
    *life, end = watched.about("talks/c.mp3")
    assert life[-1] == "is begun"
    assert end.startswith("failed: ")
    (failed,) = [line for line in watched.log if line.get("code") == "not_media"]
    assert (failed["level"], failed["state"]) == ("ERROR", "failed")


def test_a_task_is_found_by_its_id(watched: Watched) -> None:
    """Accepted from the watcher or the first scan, ended with a warning as a file of it failed."""
    lines = [
        line
        for line in watched.log
        if line.get("task_id") == watched.task["task_id"] and "file_id" not in line
    ]
    assert [line["message"] for line in lines] == [
        "talks: task is accepted",
        "talks: task is running",
        "talks: task has ended; some of its files failed",
    ]
    assert lines[0]["source"] == watched.task["source"]


def test_requests_stand_in_the_same_log(watched: Watched) -> None:
    """As lines with fields."""
    (line,) = [line for line in watched.log if line.get("target") == "/no/such/path"]
    assert {"method": "GET", "status": 404, "level": "INFO"}.items() <= line.items()


def test_a_death_of_the_transcriber_stands_in_the_log(watched: Watched) -> None:
    """With the files that it died on, none here."""
    (line,) = [line for line in watched.log if "file_ids" in line]
    assert (line["level"], line["file_ids"]) == ("ERROR", [])
