"""POST /forget: outputs and memory go, the recordings stay."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.service import Core
from pipeline.errors import ConflictError
from pipeline.options import Options
from pipeline.provenance import Duration, ModelRecord, Provenance, source_record
from pipeline.queue.records import NewFile
from pipeline.relay.drafts import Draft
from pipeline.settings import Settings
from pipeline.tasks import FileState, Fingerprint, Source
from tests.unit.api.conftest import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    """Return a core of this module's own: its intake is stepped."""
    core = Core(Settings(workdir=tmp_path_factory.mktemp("forgetful"), quiet_seconds=0.0))
    yield core
    core.close()


@pytest.fixture(scope="module")
def root(core: Core) -> Path:
    """Return its workdir."""
    return core.settings.workdir


@pytest.fixture(scope="module")
def client(core: Core) -> TestClient:
    """Return a client of it."""
    return TestClient(create_app(core, root_path="/"), raise_server_exceptions=False)


def transcribe(core: Core, path: str, **layout: Any) -> None:
    """Write the outputs of a recording as the relay does."""
    name = path.rpartition("/")[2]
    status = (core.settings.workdir / path).stat()
    options = Options(**layout)
    provenance = Provenance(
        version="1",
        source=source_record(name, Fingerprint(status.st_size, status.st_mtime_ns), "0" * 64),
        model=ModelRecord(name="tiny", sha256="0"),
        options={"output_format": list(options.output_format)},
        language="en",
        duration=Duration(declared=1.0, decoded=1.0),
    )
    segments = [{"id": 0, "start": 0.0, "end": 1.0, "text": " Hello."}]
    draft = Draft(path=path.encode(), segments=segments, provenance=provenance, layout=options)
    core.committer.put(core.committer._prepare(draft))


@pytest.fixture
def folder(core: Core, root: Path) -> str:
    """Return a folder whose two recordings are transcribed."""
    name = make_folder(root, "a.wav", "b.wav")
    for each in ("a.wav", "b.wav"):
        transcribe(core, f"{name}/{each}", output_format=("txt", "json"))
    return name


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_recording_is_forgotten_and_stays(client: TestClient, core: Core, root: Path, folder: str) -> None:
    """Its outputs and rows go, its neighbour's stay; the intake takes it for new."""
    task = core.intake.submit(folder, Source.API)
    core.intake.step(0.0)
    answer = client.post("/forget", json={"path": f"{folder}/a.wav"})
    assert answer.status_code == 200
    assert sorted(answer.json()["erased"]) == [f"{folder}/a.json", f"{folder}/a.txt"]
    assert names(root / folder) == ["a.wav", "b.json", "b.txt", "b.wav"]
    assert [file.path for file in core.store.files(task.id).rows] == [f"{folder}/b.wav".encode()]
    assert f"{folder}/a.wav".encode() in core.intake._notices._noticed.forgotten


def test_what_the_queue_never_knew_is_forgotten_too(client: TestClient, root: Path, folder: str) -> None:
    """The database was deleted, the transcripts lie there."""
    answer = client.post("/forget", json={"path": folder})
    assert len(answer.json()["erased"]) == 4
    assert names(root / folder) == ["a.wav", "b.wav"]


def test_the_report_goes_with_the_last_recording(
    client: TestClient, core: Core, root: Path, folder: str
) -> None:
    """It would go on telling of what was forgotten; a user's own file of that name stays."""
    core.intake.submit(folder, Source.API)
    for _ in range(100):  # other tests' folders are reported as well, one a step
        core.report.step(1.0)
    own = root / make_folder(root, "c.wav") / "transcription-status.txt"
    own.write_text("mine")
    reports = ["transcription-status.json", "transcription-status.txt"]
    client.post("/forget", json={"path": f"{folder}/a.wav"})
    assert [name for name in reports if name in names(root / folder)] == reports
    client.post("/forget", json={"path": f"{folder}/b.wav"})
    assert names(root / folder) == ["a.wav", "b.wav"]
    client.post("/forget", json={"path": own.parent.name})
    assert own.read_text() == "mine"


def test_what_a_stage_holds_is_not_forgotten(client: TestClient, core: Core, root: Path) -> None:
    """409, in words that a person can read."""
    name = make_folder(root, "held.wav")
    task = core.intake.submit(name, Source.API)
    path = f"{name}/held.wav".encode()
    waiting = NewFile(path=path, fingerprint=Fingerprint(9, 9), state=FileState.QUEUED, options={})
    core.store.add_files(task.id, [waiting])
    core.store.lease("w", 1)
    try:
        answer = client.post("/forget", json={"path": name})
        assert (answer.status_code, answer.json()["code"]) == (409, ConflictError.code)
        assert answer.json()["detail"] == f"{name} is being transcribed; cancel it first"
    finally:
        core.cancel(task.id)


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x", ""])
def test_nothing_outside_is_forgotten(client: TestClient, path: str) -> None:
    """The paths of POST /transcription's own rules."""
    assert client.post("/forget", json={"path": path}).status_code == 400


def test_a_name_as_answers_show_it_is_understood(client: TestClient, core: Core, root: Path) -> None:
    r"""JSON cannot carry bytes that are not UTF-8; what shows as `\xff` can be asked for so."""
    (root / "caf\udce9").mkdir()
    (root / "caf\udce9" / "a.wav").write_bytes(b"sound")
    answer = client.post("/transcription", json={"dirname": "caf\\xe9"})
    assert (answer.status_code, answer.json()["dirname"]) == (200, "caf\\xe9")
    assert core.store.task(answer.json()["task_id"]).dirname == b"caf\xe9"
    listed = client.get("/monitoring", params={"dirname": "caf\\xe9"}).json()["tasks"]
    assert [each["task_id"] for each in listed] == [answer.json()["task_id"]]


def test_a_name_that_really_holds_a_backslash_comes_first(client: TestClient, core: Core, root: Path) -> None:
    """A file of that very name is what is meant."""
    for name in ("na\\xefve", "na\udcefve"):
        (root / name).mkdir()
        (root / name / "a.wav").write_bytes(b"sound")
    answer = client.post("/transcription", json={"dirname": "na\\xefve"})
    assert core.store.task(answer.json()["task_id"]).dirname == b"na\\xefve"


@pytest.mark.parametrize(("named", "asked"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_name_whose_accents_are_written_otherwise_is_understood(
    client: TestClient, root: Path, named: str, asked: str
) -> None:
    """A Mac named the folder, or a Mac asks; answers show the name as it is on the disk."""
    name = f"Réunion à {named}"
    on_disk = unicodedata.normalize(named, name)
    (root / on_disk).mkdir()
    (root / on_disk / "a.wav").write_bytes(b"sound")
    answer = client.post("/transcription", json={"dirname": unicodedata.normalize(asked, name)})
    assert (answer.status_code, answer.json()["dirname"]) == (200, on_disk)


def test_a_format_that_was_not_written_is_rendered(client: TestClient, core: Core, root: Path) -> None:
    """From the JSON, as the other outputs are laid out."""
    name = make_folder(root, "c.wav")
    transcribe(core, f"{name}/c.wav", output_format=("txt", "json"))
    task = client.post("/transcription", json={"dirname": name}).json()["task_id"]
    core.intake.step(0.0)
    answer = client.get(f"/transcription/{task}/files/{name}/c.wav", params={"format": "srt"})
    assert (answer.status_code, answer.text) == (200, "1\n00:00:00,000 --> 00:00:01,000\nHello.\n\n")
    assert answer.headers["content-disposition"].endswith("c.srt")
    (root / name / "c.json").write_text(json.dumps({"mine": 1}))
    answer = client.get(f"/transcription/{task}/files/{name}/c.wav", params={"format": "vtt"})
    assert answer.status_code == 404
