"""A supervisor with a real child process; the core is the test, on a real ROUTER."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from pipeline.options import Options
from pipeline.relay.messages import Accept, Hello, Job, Message, Ready, Welcome, decode
from pipeline.relay.sockets import Router
from pipeline.stage.supervise.keeper import Timings
from pipeline.stage.supervise.supervisor import Supervisor

M = TypeVar("M", bound=Message)
QUICK = Timings(
    poll=0.01, stall=60.0, backoff=(0.0, 0.0, 60.0), resend=0.2, drain=0.4, silence=60.0, memory=0.0
)
CHILD = (sys.executable, str(Path(__file__).with_name("child.py")))


class FakeCore:
    """Speaks to one supervisor, stepping it while it listens."""

    def __init__(self, timings: Timings = QUICK, *flags: str) -> None:
        self.router = Router("tcp://127.0.0.1:0")
        self.supervisor = Supervisor(self.router.endpoint, "cpu", [*CHILD, *flags], timings=timings)
        self.identity = b""
        self.hello: Hello | None = None
        self.credit = 0
        self.heard: list[Message] = []
        self.ahead = 0.0  # of the clock
        self._token = 0

    def say(self, message: Message) -> None:
        assert self.router.send(self.identity, message)

    def step(self) -> None:
        self.supervisor.step(time.monotonic() + self.ahead)
        for identity, raw in self.router.receive(0.0):
            message = decode(raw)
            if isinstance(message, Hello):
                self.identity, self.hello = identity, message
            if isinstance(message, Ready):
                self.credit += message.credit
            self.heard.append(message)

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"it did not come, only {self.heard}"
            self.step()

    def hear(self, kind: type[M]) -> M:
        """Step until a message of this kind comes; forget it and those before it."""
        self.until(lambda: any(isinstance(message, kind) for message in self.heard))
        place = next(place for place, message in enumerate(self.heard) if isinstance(message, kind))
        message = self.heard[place]
        del self.heard[: place + 1]
        assert isinstance(message, kind)
        return message

    def hears_no(self, kind: type[Message], seconds: float = 0.3) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()
        return not any(isinstance(message, kind) for message in self.heard)

    def welcome(self, epoch: int = 1) -> None:
        self.hear(Hello)
        self.say(Welcome(epoch=epoch, model="tiny", paused=False))

    def job(self, path: bytes, file_id: int = 1, epoch: int = 1) -> Job:
        self._token += 1
        return Job(
            epoch=epoch, token=self._token, file_id=file_id, path=path, size=1, mtime_ns=1, options=Options()
        )

    def give(self, path: bytes, file_id: int = 1, epoch: int = 1) -> Job:
        """Send a job and hear it accepted."""
        job = self.job(path, file_id, epoch)
        self.say(job)
        self.credit -= 1
        assert self.hear(Accept).token == job.token
        return job

    @property
    def child(self) -> int | None:
        child = self.supervisor._keeper.child
        return child.pid if child else None


@pytest.fixture
def cores() -> Iterator[Callable[..., FakeCore]]:
    made: list[FakeCore] = []

    def make(*flags: str, **timings: object) -> FakeCore:
        values = {name: getattr(QUICK, name) for name in QUICK.__slots__} | timings
        made.append(FakeCore(Timings(**values), *flags))
        return made[-1]

    yield make
    for core in made:
        core.supervisor.close()
        core.router.close()


@pytest.fixture
def core(cores: Callable[..., FakeCore]) -> FakeCore:
    """Return a core whose stage has joined and offers two places."""
    core = cores()
    core.welcome()
    core.until(lambda: core.credit == 2)
    return core
