"""A queue on a disk, a sender with a clock of the test's own, and receivers on real sockets."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.queue.database import Database, open_database
from pipeline.queue.records import Callback
from pipeline.queue.store import TaskStore
from pipeline.tasks import Source
from pipeline.webhooks.addresses import Addresses
from pipeline.webhooks.post import Post
from pipeline.webhooks.secret import Signer
from pipeline.webhooks.sender import Sender
from tests.acceptance.harness import until
from tests.integration.webhooks.receiver import Receiver

SECRET = f"whsec_{base64.b64encode(b'0123456789abcdef' * 2).decode()}"


@dataclass
class Rig:
    """A service as far as callbacks go. `now` is what its clock shows."""

    url: str
    allow: str = "127.0.0.0/8"
    now: float = field(default_factory=time.time)
    numbers: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.database: Database = open_database(self.url)
        self.store = TaskStore(self.database)
        self.store.open_epoch()
        self.sender = Sender(self.store, Post(Addresses(self.allow), Signer([SECRET])), lambda: self.now)

    def stop(self) -> None:
        self.sender.close()
        self.database.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def end_task(self, url: str) -> str:
        """End a task that calls this address; return its id."""
        self.numbers += 1
        task, _ = self.store.open_task(b"talks%d" % self.numbers, Source.API, {}, callback_url=url)
        self.store.end_task(task.id)
        return task.id

    def run(self, seconds: float = 60.0) -> None:
        """Step once, and wait until every attempt it began has ended."""
        self.sender.step(0.0)
        until(lambda: not self.sender._under_way, seconds, 0.01)

    def callback(self, task_id: str) -> Callback:
        (only,) = self.store.callbacks(task_id)
        return only

    def tell(self, url: str) -> Callback:
        """End a task that calls this address, make one attempt, and return how it stands."""
        task_id = self.end_task(url)
        self.run()
        return self.callback(task_id)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(f"sqlite:///{tmp_path}/queue.db")
    yield rig
    rig.stop()


@pytest.fixture
def receivers() -> Iterator[Callable[..., Receiver]]:
    """Return a maker of receivers; they are stopped at the end."""
    made: list[Receiver] = []

    def make(*, up: bool = True, **more: Any) -> Receiver:
        made.append(Receiver(**more))
        return made[-1].start() if up else made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def receiver(receivers: Callable[..., Receiver]) -> Receiver:
    return receivers()
