"""How things stand, told by a real core that is built and not started; and the form in which all is told."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from api.app import create_app
from api.metrics.state import REST, State
from api.service import Core
from pipeline.errors import UnavailableError
from pipeline.relay.links import StageInfo
from pipeline.settings import Settings
from pipeline.tasks import FileState, Fingerprint, TaskState

OPENMETRICS = "application/openmetrics-text"
SHOWN = {"phase": "ready", "detail": "base", "fraction": None, "jobs": 2}
FIGURES = {"device_busy": 0.97, "batch_fill": 0.8, "real_time_factor": 41.0, "decoded_seconds_waiting": 9.5}


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    workdir = tmp_path / "workdir"
    workdir.mkdir()
    core = Core(Settings(workdir=workdir, quiet_seconds=0.0))
    yield core
    core.close()


@pytest.fixture
def client(core: Core) -> TestClient:
    return TestClient(create_app(core, root_path="/"), raise_server_exceptions=False)


@pytest.fixture
def submitted(core: Core, client: TestClient) -> str:
    """Submit a directory of two recordings."""
    (core.settings.workdir / "talks").mkdir()
    for name in ("a.mp3", "b.mp3"):
        (core.settings.workdir / "talks" / name).write_bytes(name.encode())
    answer = client.post("/transcription", json={"dirname": "talks"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["task_id"])


@pytest.fixture
def families(client: TestClient) -> Callable[..., dict[str, Metric]]:
    """Scrape, as Prometheus does."""

    def scrape(accept: str = "text/plain") -> dict[str, Metric]:
        answer = client.get("/metrics", headers={"Accept": accept})
        assert answer.status_code == 200
        read = parse_openmetrics if accept == OPENMETRICS else parse
        return {family.name: family for family in read(answer.text)}

    return scrape


def value(families: dict[str, Metric], sample: str, **labels: str) -> float:
    samples = [each for family in families.values() for each in family.samples]
    (found,) = [each.value for each in samples if (each.name, each.labels) == (sample, labels)]
    return float(found)


Scrape = Callable[..., dict[str, Metric]]


@pytest.mark.usefixtures("submitted")
def test_tasks_and_files_are_told_by_state(families: Scrape) -> None:
    """Every state, those without any as 0."""
    told = families()
    assert {s.labels["state"]: s.value for s in told["whisper_tasks"].samples} == {
        state: float(state is TaskState.PENDING) for state in TaskState
    }
    batch = {s.labels["state"]: s.value for s in told["whisper_files"].samples if s.labels["kind"] == "batch"}
    assert batch == {state: 2.0 * (state is FileState.SETTLING) for state in FileState}


@pytest.mark.usefixtures("submitted")
def test_what_a_client_waits_for_is_no_file_of_a_folder(core: Core, families: Scrape) -> None:
    """It is counted beside them, and so is its age."""
    core.store.admit(b".whisper/spool/1.wav", Fingerprint(1, 1), {})
    told = families()
    assert value(told, "whisper_files", kind="batch", state="queued") == 0
    assert value(told, "whisper_files", kind="request", state="queued") == 1
    assert 0 < value(told, "whisper_queue_oldest_age_seconds", kind="request") < 10


def test_an_empty_queue_has_no_age(families: Scrape) -> None:
    """An alert on the age is silent while nothing waits."""
    assert value(families(), "whisper_queue_oldest_age_seconds", kind="batch") == 0


def test_the_figures_of_each_stage_are_told_by_number_and_device(core: Core, families: Scrape) -> None:
    """A worker's own name is another one at each start; a device at rest says nothing, which is 0."""
    core.dispatch.stages = [
        StageInfo(worker="b", device="cuda:0", **SHOWN, figures={}),
        StageInfo(worker="a", device="cpu", **SHOWN, figures=FIGURES),
    ]
    told = families()
    cpu, cuda = {"stage": "0", "device": "cpu"}, {"stage": "1", "device": "cuda:0"}
    assert value(told, "whisper_stage_device_busy_ratio", **cpu) == 0.97
    assert value(told, "whisper_stage_batch_fill_ratio", **cpu) == 0.8
    assert value(told, "whisper_stage_real_time_factor", **cpu) == 41
    assert value(told, "whisper_stage_decoded_audio_seconds", **cpu) == 9.5
    assert value(told, "whisper_stage_device_busy_ratio", **cuda) == 0
    assert value(told, "whisper_stage_jobs", **cuda) == 2
    assert value(told, "whisper_stage_phase", **cuda, phase="ready") == 1
    assert value(told, "whisper_stage_phase", **cuda, phase="failed") == 0


def test_what_the_stages_have_done_only_grows(core: Core, families: Scrape) -> None:
    """Windows, seconds of audio, and how often a stage died."""
    totals = core.dispatch.totals
    totals.windows, totals.seconds = 3, 61.5
    totals.deaths["cpu"] += 1
    told = families()
    assert value(told, "whisper_transcribed_windows_total") == 3
    assert value(told, "whisper_transcribed_audio_seconds_total") == 61.5
    assert value(told, "whisper_stage_restarts_total", device="cpu") == 1


def test_a_service_that_is_not_ready_says_so(
    core: Core, families: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /readyz does."""
    assert value(families(), "whisper_ready") == 0
    monkeypatch.setattr("api.metrics.state.problems", lambda _core: [])
    assert value(families(), "whisper_ready") in (0, 1)  # told a moment ago, perhaps
    assert {m.name: m for m in State(core).collect()}["whisper_ready"].samples[0].value == 1


def test_a_queue_that_cannot_be_read_hides_nothing_else(
    core: Core, families: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database server that is away is the moment to be watched."""

    def away() -> None:
        raise UnavailableError

    monkeypatch.setattr(core.store, "census", away)
    told = families()
    assert "whisper_files" not in told
    assert value(told, "whisper_ready") == 0


def test_what_took_long_to_look_up_is_not_looked_up_again_at_once(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting takes a twentieth of the time at most, however often somebody asks."""
    now, looks = [0.0], []
    state = State(core, clock=lambda: now[0])

    def census() -> None:
        looks.append(now[0])
        now[0] += 0.1
        raise UnavailableError

    monkeypatch.setattr(core.store, "census", census)
    for now[0] in (0.0, 1.0, 0.1 + REST * 0.1 - 0.01, 0.1 + REST * 0.1):
        state.collect()
    assert looks == [0.0, 0.1 + REST * 0.1]


@pytest.mark.usefixtures("submitted")
@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
def test_names_types_and_units_are_those_of_the_ecosystem(families: Scrape, accept: str) -> None:
    """As promtool and the naming page of Prometheus want them: base units, counters in _total, no colons."""
    for name, family in families(accept).items():
        ours = name.startswith(("whisper_", "http_"))
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert family.documentation.strip(), name
        assert not ours or family.documentation.endswith("."), name
        assert not re.search(r"_(total|sum|count|bucket|milliseconds|ms|minutes|hours|mb|kb|percent)$", name)
        assert family.type in ("counter", "gauge", "histogram", "info"), name
        units = re.findall(r"seconds|bytes|ratio", name)
        assert not ours or name.endswith(tuple(units or ("",))), name
        for sample in family.samples:
            assert family.type != "counter" or sample.name == f"{name}_total"
            assert all(re.fullmatch(r"[a-z][a-z_]*", label) for label in sample.labels)


def test_openmetrics_is_told_to_who_accepts_it(client: TestClient, families: Scrape) -> None:
    """With units; as Prometheus asks for it; any other header is answered with the classic text."""
    asked = f"{OPENMETRICS};version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    answer = client.get("/metrics", headers={"Accept": asked})
    assert answer.headers["content-type"].startswith(OPENMETRICS)
    assert answer.text.endswith("# EOF\n")
    assert families(OPENMETRICS)["whisper_disk_free_bytes"].unit == "bytes"


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain;version=x.y", f"{OPENMETRICS};version=none", ";;=,"]
)
def test_no_accept_header_is_an_error(client: TestClient, accept: str) -> None:
    """The library's own reading of it raises where a version is no number."""
    assert client.get("/metrics", headers={"Accept": accept}).status_code == 200


def test_two_cores_in_one_process_do_not_mix(core: Core, client: TestClient, tmp_path: Path) -> None:
    """Nothing is global: a registry belongs to its core."""
    client.get("/healthz")
    (tmp_path / "other").mkdir()
    other = Core(Settings(workdir=tmp_path / "other", quiet_seconds=0.0))
    assert b'route="/healthz"' in core.figures.shown("")[0]
    assert b'route="/healthz"' not in other.figures.shown("")[0]
    other.close()
