"""Real processes: the service as its users start it, asked over HTTP, killed with kill -9."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
_ports = count(os.getpid() * 1000)


def run(workdir: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program on a workdir to its end."""
    return subprocess.run(
        [sys.executable, str(ROOT / "app.py"), "--workdir", str(workdir), *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=os.environ | env,
    )


def free_port() -> int:
    """Return a port nobody listens on, below those that the kernel gives to whoever asks for any in the meantime."""
    while True:
        port = 10_000 + next(_ports) % 20_000
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def until(true: Callable[[], Any], seconds: float = 60.0, every: float = 0.05) -> Any:
    """Wait for something to become true and return it; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := true():
            return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds:.0f} s: {getattr(true, '__name__', true)}")


def tone(path: Path, seconds: float = 1.0, pitch: float = 440.0) -> Path:
    """Write a 16 kHz wav: a tone in noise, no two stretches the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(int(pitch)).integers(-500, 500, len(t))
    pcm = (np.sin(2 * np.pi * pitch * t) * 8000 + noise).astype("<i2")
    with wave.open(os.fsencode(path).decode("utf-8", "surrogateescape"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(pcm.tobytes())
    return path


class Service:
    """One `python app.py … start-service` on a workdir of its own."""

    def __init__(
        self, workdir: Path, *flags: str, globals_: tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> None:
        self.workdir = workdir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = workdir.parent / f"{workdir.name}.log"
        self.command = [
            *(sys.executable, str(ROOT / "app.py"), "--workdir", str(workdir), *globals_),
            *("start-service", "--port", str(self.port), *flags),
        ]  # fmt: skip
        self._env = os.environ | (env or {})
        self.headers = {"Content-Type": "application/json"}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str, ready: bool = True) -> Service:
        """Start it (with further flags) and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*self.command, *more], stdout=log, stderr=log, env=self._env)
        until(self._alive)
        if ready:
            until(lambda: self.ask("GET", "/readyz")[0] == 200, 180)
        return self

    def stop(self, seconds: float = 60.0) -> int:
        """Stop it with SIGTERM and return its exit status."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self, name: str = "core") -> None:
        """Kill -9 the core, the supervisor or the child."""
        self.find(name).send_signal(signal.SIGKILL)
        if name == "core":
            assert self.process
            self.process.wait(30)

    def find(self, name: str) -> psutil.Process:
        """Return the process of this role."""
        assert self.process
        core = psutil.Process(self.process.pid)
        if name == "core":
            return core
        module = {"supervisor": "pipeline.stage.supervise", "child": "pipeline.stage.work.worker"}[name]
        for each in core.children(recursive=True):
            if module in each.cmdline():
                return each
        raise AssertionError(f"no {name} runs")

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask over HTTP; return status and JSON (or text)."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _parsed(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _parsed(error.read())

    def post(self, dirname: str, **fields: Any) -> str:
        """POST a directory and return its task id."""
        status, answer = self.ask("POST", "/transcription", {"dirname": dirname, **fields})
        assert status == 200, answer
        task_id: str = answer["task_id"]
        return task_id

    def task(self, task_id: str) -> dict[str, Any]:
        """Return a monitoring answer."""
        status, answer = self.ask("GET", f"/monitoring/{task_id}")
        assert status == 200, answer
        return dict(answer)

    def tasks(self, dirname: str | None = None) -> list[dict[str, Any]]:
        """Return the listed tasks, newest first."""
        query = f"?dirname={urllib.request.quote(dirname)}" if dirname else ""
        return list(self.ask("GET", f"/monitoring{query}")[1]["tasks"])

    def ended(self, task_id: str, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until a task ends and return its answer."""
        until(lambda: self.task(task_id)["task_status"] not in ("pending", "running"), seconds)
        return self.task(task_id)

    def done(self, dirname: str, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until the newest task of a directory exists and ends; return its answer."""
        found = until(lambda: self.tasks(dirname), seconds)
        return self.ended(found[0]["task_id"], seconds)

    def _alive(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
