"""The ROUTER: the one TCP endpoint of the core, for one thread."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import zmq

from pipeline.errors import EnvironmentUnusableError, RelayUnsafeError
from pipeline.relay.messages import MAX_BYTES, Message, encode

HIGH_WATER = (
    1000  # messages waiting for one peer; beyond that a send is refused, and what matters is sent again
)
HANDSHAKE_MS = 5_000
LINGER_MS = 500


class Router:
    """A bound ROUTER socket that never blocks a sender and never drops in silence."""

    def __init__(self, bind: str) -> None:
        refuse_public(bind)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._limit()
        self._socket.setsockopt(zmq.IPV6, int("[" in bind))
        try:
            self._socket.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            raise EnvironmentUnusableError(f"--relay_bind {bind}: {error.strerror}") from error
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def _limit(self) -> None:
        for option, value in (
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.SNDHWM, HIGH_WATER),
            (zmq.RCVHWM, HIGH_WATER),
            (zmq.LINGER, LINGER_MS),
            (zmq.MAXMSGSIZE, MAX_BYTES),
            (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
            (zmq.TCP_KEEPALIVE, 1),
            (zmq.TCP_KEEPALIVE_IDLE, 30),
        ):
            self._socket.setsockopt(option, value)

    def send(self, identity: bytes, message: Message) -> bool:
        """Send at once; tell whether the peer could be reached and had room."""
        try:
            self._socket.send_multipart((identity, encode(message)), zmq.NOBLOCK)
        except zmq.ZMQError:  # EHOSTUNREACH or EAGAIN
            return False
        return True

    def receive(self, timeout_s: float, limit: int = 256) -> list[tuple[bytes, bytes]]:
        """Wait for the first message at most this long; return (identity, raw) of up to `limit` that are there."""
        received: list[tuple[bytes, bytes]] = []
        waiting = self._socket.poll(int(timeout_s * 1000))
        while waiting and len(received) < limit:
            try:
                identity, *frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            received.append((identity, frames[0] if len(frames) == 1 else b""))
        return received

    def close(self) -> None:
        """Close the socket, giving what was sent last a moment to leave."""
        self._socket.close()
        self._context.term()


def refuse_public(bind: str) -> None:
    """Raise RelayUnsafeError unless the endpoint is TCP on a loopback address."""
    parts = urlsplit(bind)
    host = parts.hostname or ""
    if parts.scheme != "tcp" or not _is_loopback(host):
        raise RelayUnsafeError(f"--relay_bind {bind}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
