"""Callbacks of a real service: the receiver of the documentation hears of every end, over kill -9 and SIGTERM."""

from __future__ import annotations

import re
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.acceptance.harness import ROOT, Service, free_port, tone, until
from tests.integration.webhooks.receiver import Receiver, status

LOCAL = ("--callback_allow", "127.0.0.1", "--no_vad")
HOUR_S = 3600.0
LONGEST_SECOND_WAIT_S = 361.0  # five minutes and a fifth
NEVER = "http://169.254.169.254/latest/meta-data"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver().start()
    yield receiver
    receiver.stop()


@pytest.fixture
def documented(tmp_path: Path) -> Path:
    """Return the program that docs/callbacks.md shows."""
    text = (ROOT / "docs/callbacks.md").read_text(encoding="utf-8")
    program = tmp_path / "receiver.py"
    program.write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0])
    return program


class Clock:
    """The wall clock of a service: off by so many seconds from ours."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(bytes(8))
        self.env = {"PYTHONPATH": str(Path(__file__).with_name("clock")), "CLOCK": str(path)}

    def set(self, seconds: float) -> None:
        with self._path.open("r+b") as file:  # in place: others have it mapped
            file.write(struct.pack("d", seconds))


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def secret(service: Service) -> Path:
    return service.workdir / ".whisper" / "callback-secret"


def test_the_receiver_of_the_documentation_hears_of_a_dropped_folder(
    service: Callable[..., Service], documented: Path, tmp_path: Path
) -> None:
    """By --callback_url, and with the secret that the service made."""
    port = free_port()
    running = service(*LOCAL, "--callback_url", f"http://127.0.0.1:{port}/").start()
    assert stat.S_IMODE(secret(running).stat().st_mode) == 0o600
    with (tmp_path / "heard").open("w") as heard:
        command = [sys.executable, str(documented), str(secret(running)), str(port)]
        process = subprocess.Popen(command, stdout=heard, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(port))
        tone(running.workdir / "talks" / "one.wav", 1, 411)
        until(lambda: (tmp_path / "heard").read_text() == "completed talks\n")
        task = running.done("talks")
    finally:
        process.kill()
        process.wait()
    (callback,) = until(lambda: running.task(task["task_id"])["callbacks"])
    assert (callback["url"], callback["last_error"]) == (f"http://127.0.0.1:{port}/", None)
    assert "callbacks" not in running.tasks("talks")[0]


def test_what_was_on_its_way_when_the_core_died_comes_after_the_next_start(
    service: Callable[..., Service], receiver: Receiver
) -> None:
    """At least once, and as the same message; SIGTERM waits for no receiver either."""
    receiver.answer = lambda _: time.sleep(60)
    running = service(*LOCAL, globals_=("--log_level", "debug")).start()
    tone(running.workdir / "talks" / "one.wav", 1, 412)
    secrets = f"http://user:hidden-1@127.0.0.1:{receiver.port}/hook?token=hidden-2"
    task = running.post("talks", callback_url=secrets)
    until(lambda: len(receiver.requests) == 1)
    assert running.task(task)["task_status"] == "completed"
    running.kill()
    running.start()
    until(lambda: len(receiver.requests) == 2)
    began = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - began < 20
    receiver.answer = status(204)
    running.start()
    until(lambda: running.task(task)["callbacks"][0]["state"] == "delivered")
    assert len(receiver.requests) == 3
    assert len(set(receiver.ids)) == 1
    key = secret(running).read_text().strip()
    for each in receiver.requests:
        said = Webhook(key).verify(each.body, each.headers)
        assert (said["type"], said["task_id"]) == ("task.completed", task)
    assert running.task(task)["callbacks"][0]["url"] == f"http://127.0.0.1:{receiver.port}/hook"
    assert "hidden" not in running.log.read_text()


def test_a_receiver_that_is_down_for_an_hour_hears_of_it_though_the_core_was_killed_meanwhile(
    service: Callable[..., Service], tmp_path: Path
) -> None:
    """As soon as the plan has an attempt and it is up; signed at that time."""
    clock = Clock(tmp_path / "clock")
    clock.set(-HOUR_S - LONGEST_SECOND_WAIT_S)
    running = service(*LOCAL, "--quiet_seconds", "0.1", env=clock.env).start()
    receiver = Receiver(port=free_port())
    tone(running.workdir / "talks" / "one.wav", 1, 414)
    task = running.post("talks", callback_url=receiver.url)

    def stands(state: str, attempts: int) -> bool:
        (callback,) = running.task(task)["callbacks"]
        return bool((callback["state"], callback["attempts"]) == (state, attempts))

    until(lambda: stands("pending", 1), 60)
    running.kill()
    clock.set(-LONGEST_SECOND_WAIT_S)
    running.start(ready=False)
    until(lambda: stands("pending", 2))
    receiver.start()
    clock.set(0.0)
    until(lambda: stands("delivered", 3))
    receiver.stop()
    (message,) = receiver.requests
    said = Webhook(secret(running).read_text().strip()).verify(message.body, message.headers)
    assert (said["type"], said["task_id"]) == ("task.completed", task)


def test_an_address_that_can_never_be_called_is_refused_at_once(
    service: Callable[..., Service], tmp_path: Path
) -> None:
    """400 for a POST, exit code 2 for the service's own."""
    running = service().start()
    tone(running.workdir / "talks" / "one.wav", 1, 413)
    for url in (
        NEVER,
        "http://127.0.0.1:1/",
        "http://2130706433/",
        "http://[::ffff:10.0.0.1]/",
        "ftp://example.org/",
    ):
        code, problem = running.ask("POST", "/transcription", {"dirname": "talks", "callback_url": url})
        assert (code, problem["title"]) == (400, "Bad Request")
    command = [sys.executable, "app.py", "--workdir", str(tmp_path / "other"), "start-service", "--port", "0"]
    ended = subprocess.run(
        [*command, "--callback_url", NEVER], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 2
    assert "--callback_allow" in ended.stderr
    assert "Traceback" not in ended.stderr
