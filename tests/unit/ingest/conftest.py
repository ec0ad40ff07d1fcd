import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.ingest.evidence import Evidence
from pipeline.ingest.intake import Intake
from pipeline.ingest.writers import ignore_lease_signals
from pipeline.options import Options, as_json, merge
from pipeline.outputs import output_name, split
from pipeline.provenance import Duration, ModelRecord, Provenance, json_document, source_record
from pipeline.queue.database import Database, open_database
from pipeline.queue.records import Lease
from pipeline.queue.store import TaskStore
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source, display


@pytest.fixture(autouse=True, scope="session")
def _lease_signals() -> None:
    ignore_lease_signals()


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Make an empty drop folder; the database lies elsewhere."""
    workdir = tmp_path / "workdir"
    workdir.mkdir()
    return workdir


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/queue.db")
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> TaskStore:
    store = TaskStore(database)
    store.open_epoch()
    return store


@pytest.fixture
def make_intake(store: TaskStore, workdir: Path) -> Callable[..., Intake]:
    """Build an Intake of the workdir: 5 s of quiet time, unless told otherwise."""

    def build(**changes: Any) -> Intake:
        return Intake(store, workdir, **({"output_dir": None, "quiet_seconds": 5.0} | changes))

    return build


@pytest.fixture
def intake(make_intake: Callable[..., Intake]) -> Intake:
    return make_intake()


@pytest.fixture
def put(workdir: Path) -> Callable[..., bytes]:
    """Write a file below the workdir, its directories too; return its path."""

    def put_one(path: str | bytes, content: bytes = b"sound") -> bytes:
        whole = workdir / os.fsdecode(path)
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(content)
        return os.fsencode(path)

    return put_one


@pytest.fixture
def transcribe(workdir: Path) -> Callable[..., Path]:
    """Put a transcript's JSON beside a source, as the relay would."""

    def write(path: bytes, **named: Any) -> Path:
        whole = workdir / os.fsdecode(path)
        found = whole.stat()
        options = merge(Options(), named)
        folder, name = split(path)
        source = source_record(
            display(name),
            Fingerprint(found.st_size, found.st_mtime_ns),
            Evidence(workdir, None).sha256(path),
        )
        provenance = Provenance(
            version="1",
            source=source,
            model=ModelRecord(name="base", sha256="0" * 64),
            options=as_json(options),
            language=options.language or "en",
            duration=Duration(declared=1.0, decoded=1.0),
            outputs={},
        )
        target = workdir / os.fsdecode(folder) / os.fsdecode(output_name(name.rpartition(b".")[0], "json"))
        target.write_bytes(json_document([], provenance))
        return target

    return write


@pytest.fixture
def work(store: TaskStore, transcribe: Callable[..., Path], workdir: Path) -> Callable[[], list[bytes]]:
    """Do all that is queued, as relay and stage would; return the paths in order."""

    def do() -> list[bytes]:
        leased = store.lease("worker", 1000)
        for row in leased:
            transcribe(row.path, **row.options)
            lease = Lease(row.epoch, row.token, row.id)
            sha256 = Evidence(workdir, None).sha256(row.path)
            store.begin_commit(
                lease,
                output_sha256="0" * 64,
                sha256=sha256,
                fingerprint=row.fingerprint,
                duration=1.0,
                language="en",
            )
            store.finish_commit(lease, outputs=(), warnings=())
        return sorted(row.path for row in leased)

    return do


@pytest.fixture
def states(store: TaskStore) -> Callable[[], dict[bytes, list[FileState]]]:
    """Show every row that stands: path -> its states, oldest first."""

    def show() -> dict[bytes, list[FileState]]:
        rows: dict[bytes, list[MediaFile]] = {}
        for row in sorted(store.in_state(*FileState), key=lambda each: each.id):
            if row.state is not FileState.SUPERSEDED:
                rows.setdefault(row.path, []).append(row)
        return {path: [row.state for row in each] for path, each in rows.items()}

    return show


class Clock:
    """Steps an Intake through time, half a second at a time, without waiting."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.now = 0.0

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now <= end:
            self.intake.step(self.now)
            self.now += 0.5


@pytest.fixture
def clock(intake: Intake) -> Clock:
    return Clock(intake)


@pytest.fixture
def make_clock() -> type[Clock]:
    return Clock


@pytest.fixture
def arrive(intake: Intake, clock: Clock, put: Callable[..., bytes]) -> Callable[..., None]:
    """Write files, have the whole workdir noticed and the quiet time pass: they are queued."""

    def come(*paths: str | bytes, content: bytes = b"sound") -> None:
        for path in paths:
            put(path, content)
        intake.notice_all(Source.WATCH)
        clock.run(6)

    return come
