"""The stage's connection to its core.

A DEALER that introduces itself until it is welcome, and starts afresh when the core falls silent.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

import msgspec
import zmq

from pipeline.relay.messages import MAX_BYTES, Bye, Hello, Message, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

HELLO_S = 1.0
LINGER_MS = 500  # for the Bye


class Uplink:
    """Sends nothing but Hello before the Welcome; what cannot be sent is dropped, as what matters is sent again.

    A connection that breaks is not mended but left for a new one, which begins with a Hello: what was on its way in
    the old one may be lost, and the places that a stage offers are told in differences.
    """

    def __init__(self, endpoint: str, hello: Hello, *, silence_s: float) -> None:
        self._endpoint = endpoint
        self._hello = hello
        self._silence_s = silence_s
        self._context = zmq.Context()
        self.socket = self._connect()
        self._heard_at: float | None = None
        self._said_at: float | None = None
        self.welcomed = False

    def _connect(self) -> zmq.Socket[bytes]:
        connection = self._context.socket(zmq.DEALER)
        connection.setsockopt(zmq.ROUTING_ID, secrets.token_bytes(12))
        for option, value in (
            (zmq.IMMEDIATE, 1),
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, MAX_BYTES),
            (zmq.TCP_KEEPALIVE, 1),
            (zmq.TCP_KEEPALIVE_IDLE, 30),
            (zmq.IPV6, 1),
        ):
            connection.setsockopt(option, value)
        # ZeroMQ would mend it by itself, unseen on both sides
        self._breaks = connection.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        connection.connect(self._endpoint)
        return connection

    def step(self, now: float) -> None:
        """Introduce the stage while it is not welcome; take a new connection when one broke or the core is silent."""
        if self._heard_at is None:
            self._heard_at = now
        if self._breaks.poll(0):
            self.restart(now)
        if now - self._heard_at > self._silence_s:
            if self.welcomed:
                logger.warning("the core at %s is silent; connecting again", self._endpoint)
            self.restart(now)
        if not self.welcomed and (self._said_at is None or now - self._said_at >= HELLO_S):
            self._said_at = now if self._send(self._hello) else None

    def restart(self, now: float) -> None:
        """Drop the connection for a fresh one, with a Hello to come."""
        self._disconnect()
        self.socket = self._connect()
        self.rehello()
        self._heard_at = now

    def rehello(self) -> None:
        """Introduce the stage anew: the core does not know it."""
        self.welcomed = False
        self._said_at = None

    def receive(self, now: float) -> Iterator[Message]:
        """Yield what the core has said."""
        while True:
            try:
                raw = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._heard_at = now
            try:
                yield decode(raw)
            except msgspec.MsgspecError as error:
                logger.warning("a message of the core was not understood: %s", error)

    def send(self, message: Message) -> None:
        """Send if the stage is welcome."""
        if self.welcomed:
            self._send(message)

    def _send(self, message: Message) -> bool:
        try:
            self.socket.send(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        """Say Bye and close."""
        self.send(Bye())
        self._disconnect(LINGER_MS)
        self._context.term()

    def _disconnect(self, linger_ms: int = 0) -> None:
        self.socket.disable_monitor()
        self._breaks.close(linger=0)
        self.socket.close(linger=linger_ms)
