"""Where a worker's messages and decoded clips come together for its one loop; and its end of the channel."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from pipeline.relay.messages import Accept, Job, Message, decode, encode

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from pipeline.stage.decode.ahead import Event
    from pipeline.stage.work.flight import Flight


class Inbox:
    """What happened, in order: messages, events of flights, and None at the end of the channel."""

    def __init__(self) -> None:
        self._items: deque[Message | tuple[Flight, Event] | None] = deque()
        self._arrived = threading.Condition()

    def put(self, item: Message | tuple[Flight, Event] | None) -> None:
        """Add something; wakes whoever waits."""
        with self._arrived:
            self._items.append(item)
            self._arrived.notify_all()

    def take(self) -> list[Message | tuple[Flight, Event] | None]:
        """Return all there is."""
        with self._arrived:
            items = list(self._items)
            self._items.clear()
            return items

    def wait(self, seconds: float) -> None:
        """Wait until there is something, at most so long."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._items, seconds)


class Channel:
    """Messages to and from the supervisor; a thread of its own receives, so that a job is accepted at once."""

    def __init__(self, connection: Connection[bytes, bytes], inbox: Inbox) -> None:
        self._connection = connection
        self._inbox = inbox
        self._sending = threading.Lock()
        self._receiver = threading.Thread(target=self._receive, name="receive", daemon=True)

    def start(self) -> None:
        """Start to receive."""
        self._receiver.start()

    def send(self, message: Message) -> None:
        """Send a message; what nobody hears any more is lost, as its job is with it."""
        try:
            with self._sending:
                self._connection.send_bytes(encode(message))
        except OSError:
            self._inbox.put(None)

    def _receive(self) -> None:
        try:
            while True:
                message = decode(self._connection.recv_bytes())
                if isinstance(message, Job):
                    self.send(Accept(epoch=message.epoch, token=message.token, file_id=message.file_id))
                self._inbox.put(message)
        except (EOFError, OSError):
            self._inbox.put(None)
