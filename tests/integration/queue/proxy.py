"""A TCP link that can be cut around a COMMIT."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from enum import Enum

CHUNK = 65536


class Cut(Enum):
    """Where the link breaks, once."""

    NEVER = "never"
    BEFORE_COMMIT = "before the server hears of the commit"
    AFTER_COMMIT = "before the client hears of it"


class Link:
    """Hands everything to a port of this machine and back, until it is told to break."""

    def __init__(self, target: int) -> None:
        self.cut = Cut.NEVER
        self.refusing = threading.Event()  # set, nobody gets through
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refusing.is_set():
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._hand_over, args=ends, daemon=True).start()

    def _hand_over(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if b"COMMIT\0" in data and self.cut is not Cut.NEVER:
                    self._break(data, source, target)
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _break(self, data: bytes, client: socket.socket, server: socket.socket) -> None:
        if self.cut is Cut.AFTER_COMMIT:
            client.shutdown(socket.SHUT_WR)  # the answer goes nowhere
            server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            server.settimeout(5)
            with suppress(OSError):
                while server.recv(CHUNK):  # until the server has done it and hung up
                    pass
        self.cut = Cut.NEVER
