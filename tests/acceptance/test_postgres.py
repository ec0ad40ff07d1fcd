"""The service with its queue on a PostgreSQL server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import DatabaseLockedError
from pipeline.queue import postgres_server
from pipeline.queue.database import Database, open_database
from pipeline.queue.store import TaskStore
from tests.acceptance.harness import ROOT, Service, tone, until
from tests.postgres import PASSWORD, Cluster

Make = Callable[..., Service]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Start a server for the tests below."""
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def environment(cluster: Cluster, tmp_path: Path) -> dict[str, str]:
    """Return an environment that names an empty database."""
    name = f"q{abs(hash(tmp_path))}"
    return {"DATABASE_URL": cluster.create(name), "WHISPER_STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
def pg_service(service: Make, environment: dict[str, str]) -> Service:
    made: Service = service(env=environment)
    return made


def cli(service: Service, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "app.py"), "--workdir", str(service.workdir), *words]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_a_folder_is_transcribed_though_the_server_restarts_in_the_middle(
    pg_service: Service, environment: dict[str, str], cluster: Cluster
) -> None:
    """Nothing is charged, nothing is lost, and no password is written anywhere."""
    names = {f"{number}.wav" for number in range(8)} | {"caf\udce9.wav"}
    for number, name in enumerate(sorted(names)):
        tone(pg_service.workdir / "talks" / name, 2, 300 + number)
    pg_service.start()
    task = until(lambda: pg_service.tasks("talks"))[0]["task_id"]
    until(lambda: pg_service.task(task)["counts"].get("done", 0) >= 1)
    cluster.stop()
    until(lambda: pg_service.ask("GET", "/readyz")[0] == 503)
    status, problem = pg_service.ask("POST", "/transcription", {"dirname": "talks"})
    assert (status, problem["code"]) == (503, "unavailable")
    cluster.start()
    until(lambda: pg_service.ask("GET", "/readyz")[0] == 200)
    answer = pg_service.ended(task)
    assert (answer["task_status"], answer["counts"]) == ("completed", {"done": len(names)})
    assert {file["attempts"] for file in answer["files"]} == {1}
    assert all((pg_service.workdir / "talks" / name).with_suffix(".json").exists() for name in names)
    status_line = cli(pg_service, environment, "status").stdout
    assert "completed" in status_line
    assert pg_service.stop() == 0
    told = pg_service.log.read_text() + str(problem) + status_line
    assert "Traceback" not in told
    assert PASSWORD not in told
    assert "p%40ss" not in told
    assert not list(pg_service.workdir.glob(".whisper/*.db"))


def test_only_one_core_owns_the_queue(
    pg_service: Service, environment: dict[str, str], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one is refused; killed, the first starts again; replaced, as after a network cut, it ends by itself."""
    pg_service.start(ready=False)
    second = cli(pg_service, environment, "start-service", "--port", "0")
    assert second.returncode == 3
    assert "Another service already owns this queue" in second.stderr
    pg_service.kill()
    pg_service.start(ready=False)
    assert pg_service.process
    monkeypatch.setattr(postgres_server, "LOCK_WAIT_S", 0.0)
    other = until(lambda: taken_over(cluster, environment["DATABASE_URL"]))
    TaskStore(other).open_epoch()
    assert pg_service.process.wait(60) == 3
    assert "another service took over" in pg_service.log.read_text()
    other.close()


def taken_over(cluster: Cluster, url: str) -> Database | None:
    """Cut the core's connection and take the lock before it comes back; None when it was quicker."""
    cluster.cut(url.rpartition("/")[2])
    try:
        return open_database(url)
    except DatabaseLockedError:
        return None
