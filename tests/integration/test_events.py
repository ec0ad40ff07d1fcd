"""Server-sent events behind a real server: resumed, beaten, trimmed, ended, many."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import uvicorn

from api.app import create_app
from api.feed import Feed, encode
from api.keys import file
from api.keys.key import Scope, new_key
from api.keys.ring import Ring
from api.live import Live
from api.service import Core
from pipeline.queue.records import NewFile
from pipeline.queue.rows import lease_of
from pipeline.settings import Settings
from pipeline.tasks import FileState, Fingerprint, Problem, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.tasks import Task

POLL_S = 0.02
PATIENCE_S = 60.0
STOP_S = 10.0
_numbers = itertools.count(1)


class Server:
    """A core that is built and not started, behind uvicorn as `start-service` runs it."""

    def __init__(self, workdir: Path, keys: Ring | None = None) -> None:
        self.core = Core(Settings(workdir=workdir))
        self.store = self.core.store
        self.core.live = Live(self.store, encode, poll_s=POLL_S)
        self.core.feed = Feed(self.core.live, self.store)
        app = create_app(self.core, root_path="/", keys=keys)
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=30)
        self._server = uvicorn.Server(config)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, args=([self.listener],))
        self._thread.start()

    def stop(self) -> float:
        """Stop as a signal would, and return how long it took."""
        began = time.monotonic()
        self.core.live.close()
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return time.monotonic() - began

    def close(self) -> None:
        self.stop()
        self.core.close()
        self.listener.close()

    @contextmanager
    def listen(self, query: str = "", **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
        """Lend the frames of a stream, as they come."""
        url = f"http://127.0.0.1:{self.port}/monitoring/events{query}"
        with httpx2.stream("GET", url, headers=headers, timeout=PATIENCE_S) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield frames(answer.iter_lines())

    def ask(self, query: str, **headers: str) -> httpx2.Response:
        url = f"http://127.0.0.1:{self.port}/monitoring/events{query}"
        return httpx2.get(url, headers=headers, timeout=PATIENCE_S)

    def open_task(self) -> Task:
        return self.store.open_task(b"talks%d" % next(_numbers), Source.API, {})[0]

    def add_file(self, task: Task) -> bytes:
        number = next(_numbers)
        path = task.dirname + b"/%d.mp3" % number
        new = NewFile(
            path=path,
            fingerprint=Fingerprint(number, number),
            state=FileState.QUEUED,
            options={},
            priority=number,
        )
        self.store.add_files(task.id, [new])
        return path

    def heard_by(self, number: int) -> None:
        """Wait until so many listen."""
        deadline = time.monotonic() + PATIENCE_S
        while self.core.live.listeners != number:
            assert time.monotonic() < deadline, self.core.live.listeners
            time.sleep(POLL_S)


def frames(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Parse a stream: what stands between two empty lines, comments as `comment`."""
    frame: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if line:
            frame[name or "comment"] = json.loads(value) if name == "data" else value.strip()
        elif frame:
            yield frame
            frame = {}


def with_id(stream: Iterator[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Return the next frames that stand for events."""
    return list(itertools.islice((each for each in stream if "id" in each and "event" in each), number))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("workdir"))
    yield server
    server.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """Return a server that a test may stop."""
    server = Server(tmp_path / "workdir")
    yield server
    server.close()


def test_the_life_of_a_task_is_told_from_its_first_file_to_its_end(shared: Server) -> None:
    """Each change once, how the task stands before and after, then the stream ends."""
    task = shared.open_task()
    with shared.listen(f"?task_id={task.id}") as stream:
        first = next(stream)
        assert first.keys() == {"retry", "id"}
        before = next(stream)
        assert (before["event"], before["data"]["task_status"]) == ("summary", "pending")
        assert "id" not in before
        path = shared.add_file(task).decode()
        (leased,) = shared.store.lease("w", 1)
        shared.store.checkpoint(
            lease_of(leased), [], position=15.0, duration=60.0, language=None, text_key=""
        )
        shared.store.fail(lease_of(leased), Problem(code="corrupt", message="damaged"))
        shared.store.end_task(task.id)
        told = list(stream)
    events = [each for each in told if "id" in each]
    assert [int(each["id"]) for each in events] == list(range(int(first["id"]) + 1, int(first["id"]) + 7))
    said = [(each["event"], each["data"].get("status") or each["data"]["task_status"]) for each in events]
    assert said == [
        ("file", "queued"),
        ("file", "leased"),
        ("task", "running"),
        ("progress", "leased"),
        ("file", "failed"),
        ("task", "failed"),
    ]
    assert {each["data"]["task_id"] for each in events} == {task.id}
    assert events[3]["data"]["progress"] == 0.25
    assert (events[4]["data"]["path"], events[4]["data"]["code"]) == (path, "corrupt")
    assert events[5]["data"]["dirname"] == task.dirname.decode()
    assert (told[-1]["event"], told[-1]["data"]["task_status"]) == ("summary", "failed")


def test_a_task_that_has_ended_is_told_at_once(shared: Server) -> None:
    """Whoever comes late is not left waiting."""
    task = shared.open_task()
    shared.store.cancel(task.id)
    with shared.listen(f"?task_id={task.id}") as stream:
        _, summary = list(stream)
    assert summary["data"]["task_status"] == "cancelled"


def test_all_tasks_are_told_to_who_names_none(shared: Server) -> None:
    """In order, and no summaries: GET /monitoring has them."""
    with shared.listen() as stream:
        next(stream)
        tasks = shared.open_task(), shared.open_task()
        for task in tasks:
            shared.add_file(task)
        assert [each["data"]["task_id"] for each in itertools.islice(stream, 4)] == [
            tasks[0].id,
            tasks[1].id,
            tasks[0].id,
            tasks[1].id,
        ]


@pytest.mark.parametrize("door", ["header", "query"])
def test_who_lost_the_stream_resumes_without_gap_or_repeat(shared: Server, door: str) -> None:
    """By the header that EventSource sends, or by the parameter of its polyfills."""
    task = shared.open_task()
    with shared.listen() as stream:
        next(stream)
        for _ in range(3):
            shared.add_file(task)
        heard = with_id(stream, 2)
    for _ in range(3):
        shared.add_file(task)
    last = heard[-1]["id"]
    resumed = (
        shared.listen(**{"Last-Event-ID": last})
        if door == "header"
        else shared.listen(f"?lastEventId={last}")
    )
    with resumed as stream:
        heard += with_id(stream, 4)
        shared.add_file(task)
        heard += with_id(stream, 1)
    ids = [int(each["id"]) for each in heard]
    assert ids == list(range(ids[0], ids[0] + 7))


def test_who_resumes_at_the_end_of_a_task_is_told_to_stay_away(shared: Server) -> None:
    """204: an EventSource does not come again."""
    task = shared.open_task()
    shared.store.cancel(task.id)
    with shared.listen(f"?task_id={task.id}", **{"Last-Event-ID": "0"}) as stream:
        *_, last, _summary = list(stream)
    assert last["data"]["task_status"] == "cancelled"
    assert shared.ask(f"?task_id={task.id}", **{"Last-Event-ID": last["id"]}).status_code == 204


def test_events_that_are_no_longer_kept_are_not_passed_over_in_silence(own: Server) -> None:
    """The client is told to look for itself, and what follows begins now."""
    task = own.open_task()
    for _ in range(10):
        own.add_file(task)
    own.store.trim_events(3)
    with own.listen(f"?task_id={task.id}", **{"Last-Event-ID": "2"}) as stream:
        missed = next(each for each in stream if "event" in each)
        assert (missed["event"], missed["data"]["code"]) == ("missed", "events_missed")
        assert int(next(stream)["id"]) == own.store.events_kept().newest
        assert next(stream)["data"]["counts"] == {"queued": 10}
        path = own.add_file(task)
        assert with_id(stream, 1)[0]["data"]["path"] == path.decode()


def test_a_silent_stream_has_a_heart(shared: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or proxies would cut it."""
    monkeypatch.setattr("api.routes.events.HEARTBEAT_S", 0.1)
    with shared.listen() as stream:
        next(stream)
        assert [each.keys() for each in itertools.islice(stream, 3)] == [{"comment"}] * 3


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?task_id=0123", {}, 404),
        ("?task_id=%00", {}, 404),
        ("?lastEventId=-1", {}, 400),
        ("", {"Last-Event-ID": "yesterday"}, 400),
        ("", {"Last-Event-ID": "9" * 20}, 400),
        ("", {"Last-Event-ID": "+0.0"}, 400),
        ("?task=0123", {}, 400),
    ],
)
def test_what_cannot_be_followed_is_a_problem(
    shared: Server, query: str, headers: dict[str, str], status: int
) -> None:
    """Before any stream begins."""
    answer = shared.ask(query, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize(("query", "headers"), [("?lastEventId=", {}), ("", {"Last-Event-ID": ""})])
def test_an_empty_id_is_none(shared: Server, query: str, headers: dict[str, str]) -> None:
    """An EventSource that has heard no id yet may name it so."""
    with shared.listen(query, **headers) as stream:
        assert "retry" in next(stream)


def test_who_goes_away_is_forgotten(shared: Server) -> None:
    """A listener costs nothing after."""
    with shared.listen() as one, shared.listen() as other:
        next(one), next(other)
        shared.heard_by(2)
    shared.heard_by(0)


def test_a_hundred_listeners_hear_the_same(own: Server) -> None:
    """Of all tasks and of one."""
    task = own.open_task()
    heard: list[list[str]] = []

    def hear(query: str) -> None:
        with own.listen(query) as stream:
            heard.append([each["id"] for each in with_id(stream, 20)])

    threads = [
        threading.Thread(target=hear, args=(query,))
        for query in ["", f"?task_id={task.id}"]
        for _ in range(50)
    ]
    for each in threads:
        each.start()
    own.heard_by(100)
    for _ in range(20):
        own.add_file(task)
    for each in threads:
        each.join(PATIENCE_S)
    assert len(heard) == 100
    assert all(each == heard[0] for each in heard)


def test_who_does_not_read_is_let_go(own: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others hear all the while."""
    monkeypatch.setattr("api.routes.events.STUCK_S", 1.5)
    monkeypatch.setattr("api.routes.events.HEARTBEAT_S", 0.1)
    task = own.open_task()
    own.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # or the kernel takes megabytes in
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", own.port))
        stuck.sendall(b"GET /monitoring/events?lastEventId=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        own.heard_by(1)
        names = ["x" * 200 + str(number) for number in range(4000)]
        files = [
            NewFile(
                path=task.dirname + b"/" + name.encode(),
                fingerprint=Fingerprint(1, 1),
                state=FileState.QUEUED,
                options={},
            )
            for name in names
        ]
        with own.listen() as stream:
            next(stream)
            for start in range(20):
                own.store.add_files(task.id, files[start * 200 : start * 200 + 200])
                with_id(stream, 200)
            own.heard_by(1)


def test_a_stream_ends_with_the_key_it_was_opened_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a heartbeat of its being revoked."""
    monkeypatch.setattr("api.routes.events.HEARTBEAT_S", 0.1)
    path = tmp_path / "keys.json"
    file.create(path)
    key, secret = new_key("dashboard", {Scope.READ}, datetime.now(UTC))
    file.change(path, lambda _none: (key,))
    ring = Ring(path)
    server = Server(tmp_path / "workdir", ring)
    with server.listen(Authorization=f"Bearer {secret}") as stream:
        assert "comment" in [*itertools.islice(stream, 3)][-1]
        file.change(path, lambda _keys: ())
        ring.step(0.0)
        assert len([*itertools.islice(stream, 200)]) < 200
    server.close()


def test_a_stream_ends_when_its_browser_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a heartbeat of POST /logout; the key itself is good still."""
    monkeypatch.setattr("api.routes.events.HEARTBEAT_S", 0.1)
    path = tmp_path / "keys.json"
    file.create(path)
    key, secret = new_key("dashboard", {Scope.READ}, datetime.now(UTC))
    file.change(path, lambda _none: (key,))
    server = Server(tmp_path / "workdir", Ring(path))
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}") as browser:
        browser.post("/login", json={"key": secret})
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        with server.listen(Cookie=cookie) as one, server.listen(Authorization=f"Bearer {secret}") as other:
            assert "comment" in [*itertools.islice(one, 3)][-1]
            browser.post("/logout")
            assert len([*itertools.islice(one, 20)]) < 5
            assert [*itertools.islice(other, 3)]
    server.close()


def test_the_head_of_a_stream_has_an_end(shared: Server) -> None:
    """And nobody listens afterwards."""
    answer = httpx2.head(f"http://127.0.0.1:{shared.port}/monitoring/events", timeout=PATIENCE_S)
    assert answer.headers["content-type"].startswith("text/event-stream")
    shared.heard_by(0)


def test_a_stop_waits_for_no_listener(own: Server) -> None:
    """Nor for one who does not read; his EventSource comes again by itself."""
    task = own.open_task()
    with own.listen() as one, own.listen(f"?task_id={task.id}") as other:
        next(one), next(other)
        own.heard_by(2)
        assert own.stop() < STOP_S
        assert all("comment" in each or each["event"] == "summary" for each in [*one, *other])
