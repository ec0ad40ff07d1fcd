"""One service under torture: started, asked, killed; whatever it acknowledges goes into its history."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.acceptance.harness import free_port
from tests.torture.faults import Orders
from tests.torture.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.torture.zygote import Zygote

MODULES = {"supervisor": "pipeline.stage.supervise", "child": "pipeline.stage.work.worker"}
LOOK_S = 0.1
ENDED = {"completed", "partial", "failed", "cancelled"}
FLAGS = ("--engine", "fake", "--no_vad", "--quiet_seconds", "0.3", "--threads", "1")


class GoneError(Exception):
    """The core does not answer: it is dead, or dying."""


class Rig:
    """A workdir in a folder of its own and the service on it; its queue may lie elsewhere."""

    def __init__(  # noqa: PLR0913 - in what rigs differ
        self,
        folder: Path,
        zygote: Zygote,
        *,
        database_url: str | None = None,
        elsewhere: bool = False,
        env: Mapping[str, str] | None = None,
        flags: tuple[str, ...] = (),
        traces: bool = False,
    ) -> None:
        self.folder = folder
        self.root = folder / "workdir"
        self.root.mkdir(parents=True, exist_ok=True)
        queue = folder / "queue" if elsewhere else self.root / ".whisper"
        self.database_url = database_url or f"sqlite:///{queue / 'queue.db'}"
        self._env = env or {}
        self.orders = Orders(folder / "orders", traces=traces)
        self.history = History(folder / "history.jsonl")
        self.log = folder / "log"
        self._zygote = zygote
        self._port = free_port()
        self.arguments = [
            *("--workdir", str(self.root), "--database_url", self.database_url),
            *("start-service", "--port", str(self._port), *FLAGS, *flags),
        ]  # fmt: skip
        self._pidfd = -1
        self.pid = 0

    # ---- processes ----

    def start(self) -> None:
        """Start a core; returns before it answers."""
        self.pid = self._zygote.fork(self.arguments, self.orders.path, self.log, self._env)
        self._close_pidfd()
        with suppress(ProcessLookupError):
            self._pidfd = os.pidfd_open(self.pid)

    def serve(self, seconds: float) -> bool:
        """Start a core and wait until it answers; tell whether it does."""
        self.start()
        return self.until(lambda: self.ask("GET", "/healthz"), seconds)

    @property
    def alive(self) -> bool:
        """Whether the core runs."""
        return self._pidfd >= 0 and not select.select([self._pidfd], [], [], 0)[0]

    def wait(self, seconds: float) -> bool:
        """Wait for the core's end; tell whether it came."""
        return self._pidfd < 0 or bool(select.select([self._pidfd], [], [], seconds)[0])

    def find(self, name: str) -> psutil.Process | None:
        """Return the core, the supervisor, the child or an ffmpeg."""
        with suppress(psutil.NoSuchProcess):
            core = psutil.Process(self.pid)
            if name == "core":
                return core
            for each in core.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if MODULES.get(name) in each.cmdline() or each.name() == name:
                        return each
        return None

    def signal(self, name: str, number: int) -> bool:
        """Send a signal to a process of the service; tell whether there was one."""
        process = self.find(name)
        with suppress(psutil.NoSuchProcess):
            if process:
                process.send_signal(number)
                return True
        return False

    def end(self) -> None:
        """Kill whatever is left of the service."""
        with suppress(psutil.NoSuchProcess):
            for each in (*psutil.Process(self.pid).children(recursive=True), psutil.Process(self.pid)):
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(signal.SIGKILL)
        self.wait(5.0)
        self._close_pidfd()

    def _close_pidfd(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1

    # ---- the API ----

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask over HTTP; raises GoneError when there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            raw = None if body is None else json.dumps(body)
            connection.request(method, path, raw, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise GoneError from error
        finally:
            connection.close()

    def post(self, dirname: str, **fields: Any) -> str | None:
        """Submit a directory; return the task's id once that is acknowledged, None when it is refused for now."""
        status, answer = self.ask("POST", "/transcription", {"dirname": dirname, **fields})
        if status != http.client.OK:
            return None
        self.history.add(answer)
        return str(answer["task_id"])

    def look(self, task_id: str) -> str | None:
        """Look at a task; return its status, None where there is no good answer."""
        status, answer = self.ask("GET", f"/monitoring/{task_id}")
        if status != http.client.OK:
            return None
        self.history.add(answer)
        return str(answer["task_status"])

    def tasks(self) -> list[dict[str, Any]]:
        """Return the listed tasks."""
        status, answer = self.ask("GET", "/monitoring")
        return list(answer["tasks"]) if status == http.client.OK else []

    def is_at_rest(self) -> bool:
        """Tell whether every task has ended."""
        with suppress(GoneError):
            tasks = self.tasks()
            return bool(tasks) and all(task["task_status"] in ENDED for task in tasks)
        return False

    def until(self, true: Callable[[], Any], seconds: float, every: float = LOOK_S) -> bool:
        """Wait until something is so, or the core has died; tell whether it came to be."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(GoneError):
                if true():
                    return True
            if not self.alive:
                return False
            time.sleep(every)
        return False
