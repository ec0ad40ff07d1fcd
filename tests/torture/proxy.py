"""The wire between core and stage, in our hands: it delays, cuts, truncates and heals."""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from contextlib import suppress

from tests.acceptance.harness import free_port

CHUNK = 65536
LOOK_S = 0.05


class Proxy:
    """Forwards TCP connections to one port; what it does to them may change at any time."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.delay_s = 0.0
        self.is_cut = False
        self._truncates = False
        self._target = target
        self._ended = False
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(LOOK_S)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """Where a stage connects."""
        return f"tcp://127.0.0.1:{self.port}"

    def heal(self) -> None:
        """Let everything through at once again."""
        self.delay_s, self.is_cut, self._truncates = 0.0, False, False

    def truncate(self) -> None:
        """Let half of the next piece through, then close that connection."""
        self._truncates = True

    def close(self) -> None:
        """End all connections."""
        self._ended = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended:
            with suppress(OSError):
                stage, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(stage,), daemon=True).start()

    def _serve(self, stage: socket.socket) -> None:
        with stage, suppress(OSError), socket.create_connection(("127.0.0.1", self._target), 2) as core:
            while not self._ended:
                ready, _, _ = select.select([stage, core], [], [], LOOK_S)
                for each in ready if not self.is_cut else ():
                    if not self._pass_on(each, core if each is stage else stage):
                        return
                if self.is_cut:
                    time.sleep(LOOK_S)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> bool:
        raw = source.recv(CHUNK)
        if self.delay_s:
            time.sleep(random.uniform(0, self.delay_s))  # noqa: S311 - no secret
        if self._truncates:
            self._truncates = False
            target.sendall(raw[: len(raw) // 2])
            return False
        target.sendall(raw)
        return bool(raw)
