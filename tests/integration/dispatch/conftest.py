"""A relay on real sockets, a real queue and real files; the stage is the test, and so is the clock."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import zmq

from pipeline.options import Options
from pipeline.outputs import Written, written_for
from pipeline.queue.database import Database, open_database
from pipeline.queue.store import NewFile, TaskStore
from pipeline.relay.commit import Committer
from pipeline.relay.dispatch import Dispatch
from pipeline.relay.messages import (
    VERSION,
    Accept,
    Hello,
    Job,
    Message,
    Ping,
    Pong,
    Ready,
    Result,
    Segment,
    Welcome,
    Window,
    decode,
    encode,
)
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source

M = TypeVar("M", bound=Message)
PATIENCE_S = 30.0  # of the tests, with the wire


class Bench:
    """A queue, its relay, a workdir, and a clock that moves when told."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self.store = TaskStore(database)
        self.epoch, _ = self.store.open_epoch()
        self.committer = Committer(root, None, "1")
        self.now = 100.0
        self.transcript: Callable[[MediaFile], Written | None] = lambda _file: None
        self.dispatch = self.build()
        self._task = self.store.open_task(b".", Source.API, {})[0]

    def build(self) -> Dispatch:
        dispatch = Dispatch(
            self.store,
            self.committer,
            Options(model="tiny"),
            bind="tcp://127.0.0.1:0",
            epoch=self.epoch,
            transcript=lambda file: self.transcript(file),  # noqa: PLW0108 - tests change it
            poll_s=0.02,
        )
        receive = dispatch._router.receive
        self.said = self.arrived = 0  # messages of stages

        def counted(timeout_s: float) -> list[tuple[bytes, bytes]]:
            received = receive(timeout_s)
            self.arrived += len(received)
            return received

        dispatch._router.receive = counted  # type: ignore[method-assign]
        return dispatch

    def add(self, name: str = "a.wav", **values: object) -> MediaFile:
        """Put a recording into the workdir and queue it."""
        path = self.root / name
        path.write_bytes(name.encode() * 10)
        known = path.stat()
        given = {"state": FileState.QUEUED, "options": {}} | values
        new = NewFile(path=name.encode(), fingerprint=Fingerprint(known.st_size, known.st_mtime_ns), **given)  # type: ignore[arg-type]
        return self.store.add_files(self._task.id, [new])[0]

    def written(self, file: MediaFile) -> Written | None:
        return written_for(self.root, None, file.path)

    def file(self, file: MediaFile) -> MediaFile:
        found = self.store.file(file.id)
        assert found is not None
        return found

    def step(self, seconds: float = 0.0) -> None:
        """Let so much time pass once all has arrived that stages have said: the wire has a clock of its own."""
        deadline = time.monotonic() + PATIENCE_S
        while self.arrived < self.said and time.monotonic() < deadline:
            self.dispatch.step(self.now)
        self.now += seconds
        self.dispatch.step(self.now)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "it did not come"
            self.step(0.01)


class FakeStage:
    """The other end: a DEALER that says what the test says."""

    def __init__(self, bench: Bench, worker: str | None = None) -> None:
        self.bench = bench
        self.worker = worker or secrets.token_hex(4)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(bench.dispatch.endpoint)
        self.heard: list[Message] = []

    def say(self, *messages: Message) -> None:
        for message in messages:
            self.say_raw(encode(message))

    def say_raw(self, raw: bytes) -> None:
        self._socket.send(raw)
        self.bench.said += 1

    def listen(self) -> None:
        while self._socket.poll(0):
            self.heard.append(decode(self._socket.recv()))

    def hear(self, kind: type[M], *, answer_pings: bool = True) -> M:
        """Step until a message of this kind comes; forget it and those before it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.listen()
            for place, message in enumerate(self.heard):
                if isinstance(message, kind):
                    del self.heard[: place + 1]
                    return message
            if answer_pings and any(isinstance(message, Ping) for message in self.heard):
                self.say(Pong())
            self.bench.step(0.05)
        pytest.fail(f"no {kind.__name__} came, only {self.heard}")

    def hears_no(self, kind: type[Message], steps: int = 8) -> bool:
        for _ in range(steps):
            self.bench.step(0.3)
            self.say(Pong())
            self.listen()
        return not any(isinstance(message, kind) for message in self.heard)

    def join(self, credit: int = 0) -> FakeStage:

        self.say(Hello(worker=self.worker, version=VERSION, device="cpu", pid=1))
        self.hear(Welcome)
        if credit:
            self.say(Ready(credit=credit))
        return self

    def take(self) -> Job:
        """Hear a job and accept it."""
        job = self.hear(Job)
        self.say(Accept(epoch=job.epoch, token=job.token, file_id=job.file_id))
        return job

    def close(self) -> None:
        self._socket.close()
        self._context.term()


def a_window(start: int = 0, text: str = "hello") -> Window:
    segment = Segment(start=start / 16_000, end=start / 16_000 + 1, text=text, tokens=(1, 2))
    return Window(
        start=start, end=start + 16_000, next_start=start + 16_000, language="en", segments=(segment,)
    )


def a_result(job: Job, **changes: object) -> Result:
    given = {
        "windows": (a_window(),),
        "language": "en",
        "duration": 1.0,
        "decoded": 1.0,
        "size": job.size,
        "mtime_ns": job.mtime_ns,
        "sha256": hashlib.sha256(job.path * 10).hexdigest(),
        "model": "tiny",
        "model_sha256": "0" * 64,
    } | changes
    return Result(epoch=job.epoch, token=job.token, file_id=job.file_id, **given)  # type: ignore[arg-type]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    root = tmp_path / "workdir"
    root.mkdir()
    database = open_database(f"sqlite:///{tmp_path}/queue.db")
    bench = Bench(root, database)
    yield bench
    bench.dispatch.close()
    database.close()


@pytest.fixture
def stages(bench: Bench) -> Iterator[Callable[..., FakeStage]]:
    """Make stages: `stages(credit=2)` has joined, with that credit."""
    made: list[FakeStage] = []

    def make(credit: int = 0, worker: str | None = None) -> FakeStage:
        made.append(FakeStage(bench, worker))
        return made[-1].join(credit)

    yield make
    for stage in made:
        stage.close()


@pytest.fixture
def stage(stages: Callable[..., FakeStage]) -> FakeStage:
    """One stage that has joined and offers four places."""
    return stages(credit=4)


@pytest.fixture
def window() -> Callable[..., Window]:
    return a_window


@pytest.fixture
def result() -> Callable[..., Result]:
    return a_result
