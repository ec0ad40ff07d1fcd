"""GET /monitoring/{task_id} of the service, a million tasks in its queue: at rest, and while it works them off."""

from __future__ import annotations

import http.client
import random
import time
from typing import TYPE_CHECKING, Any

from benchmarks.queues.databases import summary
from benchmarks.queues.rows import fill
from pipeline.queue.database import open_database
from pipeline.queue.store import TaskStore
from tests.acceptance.harness import Service
from tests.postgres import Cluster

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return how long answers took, by database."""
    found: dict[str, Any] = {"tasks": chosen.tasks}
    found["sqlite"] = _asked(chosen, folder / "sqlite")
    if "postgres" in chosen.journals:
        cluster = Cluster(folder)
        try:
            found["postgres"] = _asked(chosen, folder / "postgres", cluster.create("monitored"))
        finally:
            cluster.remove()
    return found


def _asked(chosen: argparse.Namespace, workdir: Path, url: str | None = None) -> dict[str, Any]:
    (workdir / ".whisper").mkdir(parents=True)
    (workdir / "d1").mkdir()
    database = open_database(url or f"sqlite:///{workdir / '.whisper' / 'queue.db'}")
    TaskStore(database).open_epoch()
    database.write(lambda connection: fill(connection, chosen.tasks))
    database.close()
    globals_ = ("--database_url", url) if url else ()
    service = Service(workdir, "--engine", "fake", "--no_vad", globals_=globals_).start()
    try:
        service.ask("POST", "/pause")
        time.sleep(5.0)  # the first look at the workdir is over
        at_rest = _gets(service, chosen)
        service.ask("POST", "/resume")
        return {"at_rest": at_rest, "at_work": _gets(service, chosen)}
    finally:
        service.stop(60)


def _gets(service: Service, chosen: argparse.Namespace) -> dict[str, float]:
    """Ask for random tasks on one connection, one after the other."""
    chance = random.Random(1)  # noqa: S311 - no secret
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    return summary([_get(connection, chance.randint(1, chosen.tasks)) for _ in range(chosen.asked)])


def _get(connection: http.client.HTTPConnection, number: int) -> float:
    began = time.perf_counter()
    connection.request("GET", f"/monitoring/t{number}")
    answer = connection.getresponse()
    body = answer.read()
    took = time.perf_counter() - began
    assert answer.status == 200, body  # noqa: S101 - a figure of errors would be none
    return took
