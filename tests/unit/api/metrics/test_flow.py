"""Counters and histograms of what happens to files, over a real queue."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from api.metrics.flow import CODES, OTHER, Flow
from pipeline.errors import IllegalTransitionError
from pipeline.queue.rows import lease_of
from pipeline.queue.store import TaskStore
from pipeline.tasks import FileState, Fingerprint, MediaFile, Problem
from tests.unit.api.metrics.conftest import Clock

Add = Callable[..., MediaFile]


def commit(store: TaskStore, file: MediaFile) -> None:
    lease, same = lease_of(file), file.fingerprint
    store.begin_commit(lease, output_sha256="", sha256="", fingerprint=same, duration=9.0, language="fr")
    store.finish_commit(lease, outputs=[], warnings=[])


def test_the_times_of_a_file_are_those_of_its_way(
    store: TaskStore, add: Add, registry: CollectorRegistry, clock: Clock
) -> None:
    """Six seconds of copying, ten more until a stage had it, five until its outputs lay there."""
    file = add(state=FileState.SETTLING)
    clock.now += 6
    store.settle([(file.id, Fingerprint(1, 1))])
    clock.now += 10
    (leased,) = store.lease("w", 1)
    clock.now += 5
    commit(store, leased)
    batch = {"kind": "batch"}
    assert registry.get_sample_value("whisper_file_discovery_seconds_sum") == 6
    assert registry.get_sample_value("whisper_file_wait_seconds_sum", batch) == 16
    assert registry.get_sample_value("whisper_file_run_seconds_sum") == 5
    assert registry.get_sample_value("whisper_files_ended_total", {"state": "done"}) == 1


def test_a_retry_is_counted_by_its_code_and_waits_only_once(
    store: TaskStore, add: Add, registry: CollectorRegistry
) -> None:
    """The wait is that for the first attempt; another attempt is not another file."""
    add()
    (first,) = store.lease("w", 1)
    store.retry_later(lease_of(first), Problem(code="unreadable", message=""))
    store.retry_now([first.id])
    (second,) = store.lease("w", 1)
    commit(store, second)
    assert registry.get_sample_value("whisper_file_retries_total", {"code": "unreadable"}) == 1
    assert registry.get_sample_value("whisper_file_wait_seconds_count", {"kind": "batch"}) == 1
    assert registry.get_sample_value("whisper_file_discovery_seconds_count") == 1
    assert registry.get_sample_value("whisper_file_run_seconds_count") == 1


@pytest.mark.parametrize(("code", "label"), [("corrupt", "corrupt"), ("of a stage to come", OTHER)])
def test_a_failure_is_counted_by_a_code_that_is_known(
    store: TaskStore, add: Add, registry: CollectorRegistry, code: str, label: str
) -> None:
    """Whatever a stage says, it makes no series of its own."""
    add()
    (file,) = store.lease("w", 1)
    store.fail(lease_of(file), Problem(code=code, message=""))
    assert registry.get_sample_value("whisper_file_failures_total", {"code": label}) == 1
    assert registry.get_sample_value("whisper_files_ended_total", {"state": "failed"}) == 1


def test_a_crash_is_a_retry_and_the_second_a_failure(
    store: TaskStore, add: Add, registry: CollectorRegistry
) -> None:
    """The file goes from leased to queued at once, and then to quarantined."""
    add()
    for _ in range(2):
        (file,) = store.lease("w", 1, solo=None)
        store.crashed(lease_of(file), Problem(code="crashed", message=""))
    assert registry.get_sample_value("whisper_file_retries_total", {"code": "crashed"}) == 1
    assert registry.get_sample_value("whisper_file_failures_total", {"code": "crashed"}) == 1
    assert registry.get_sample_value("whisper_file_discovery_seconds_count") == 1


def test_what_is_given_back_is_no_retry(store: TaskStore, add: Add, registry: CollectorRegistry) -> None:
    """A stage that drains, or a source that changed, is nobody's failure."""
    add()
    (file,) = store.lease("w", 1)
    store.give_back(lease_of(file))
    (file,) = store.lease("w", 1)
    store.unsettle(lease_of(file))
    assert sum(registry.get_sample_value("whisper_file_retries_total", {"code": code}) for code in CODES) == 0
    assert registry.get_sample_value("whisper_file_discovery_seconds_count") == 1


def test_what_did_not_become_durable_is_not_counted(
    store: TaskStore, add: Add, registry: CollectorRegistry
) -> None:
    """A change that was refused has happened to no file."""
    add()
    (file,) = store.lease("w", 1)
    commit(store, file)
    with pytest.raises(IllegalTransitionError):
        store.fail(lease_of(file), Problem(code="corrupt", message=""))
    assert registry.get_sample_value("whisper_file_failures_total", {"code": "corrupt"}) == 0


def test_what_a_client_waits_for_is_counted_on_its_own(
    store: TaskStore, registry: CollectorRegistry, clock: Clock
) -> None:
    """Requests of a second do not hide in the waits of an archive."""
    store.admit(b".whisper/spool/1.wav", Fingerprint(1, 1), {})
    clock.now += 2
    (file,) = store.lease("w", 1)
    store.fail(lease_of(file), Problem(code="no_audio", message=""))
    request = {"kind": "request"}
    assert registry.get_sample_value("whisper_file_wait_seconds_sum", request) == 2
    assert registry.get_sample_value("whisper_file_failures_total", {"code": "no_audio"}) == 1
    assert registry.get_sample_value("whisper_files_ended_total", {"state": "failed"}) == 0
    assert registry.get_sample_value("whisper_file_wait_seconds_count", {"kind": "batch"}) == 0


def test_every_series_is_there_from_the_start(registry: CollectorRegistry) -> None:
    """A rate sees the first failure only where there was a 0 before it."""
    Flow(registry)
    assert {registry.get_sample_value("whisper_file_failures_total", {"code": code}) for code in CODES} == {0}
