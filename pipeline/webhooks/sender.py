"""Delivers what tasks left for their callbacks."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from pipeline.errors import UnavailableError
from pipeline.webhooks.post import Answer
from pipeline.webhooks.schedule import ATTEMPTS, pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.queue.records import Delivery
    from pipeline.queue.store import TaskStore
    from pipeline.webhooks.post import Post

logger = logging.getLogger(__name__)

TOGETHER = 16  # attempts at the same time
TO_ONE = 4  # of these, to one receiver: a slow one does not hold up the others
PAUSE_S = 1.0
BUSY_PAUSE_S = 0.1
CLOSE_S = 2.0  # for attempts under way at the end; what they cost is that a receiver may get a message twice


class Sender:
    """Sends what is due, each message at least once.

    The queue plans on wall time, as plans outlive this process. A clock set forward makes messages due early:
    each is tried once and planned anew from then. One set back cannot hold them for longer than the queue's
    LONGEST_S. `tell` hears how each attempt ended: delivered, put_off or given_up.
    """

    def __init__(
        self,
        store: TaskStore,
        post: Post,
        clock: Callable[[], float] = time.time,
        *,
        tell: Callable[[str], None] = lambda _result: None,
    ) -> None:
        self._store = store
        self._post = post
        self._clock = clock
        self._tell = tell
        self._under_way: dict[int, tuple[str, threading.Thread]] = {}  # by message: receiver, who sends it
        self._closing = threading.Event()

    def step(self, _now: float) -> float:
        """Begin with what is due; return in how many seconds to come again."""
        busy = list(self._under_way.items())
        free = TOGETHER - len(busy)
        receivers = Counter(origin for _, (origin, _thread) in busy)
        if free > 0:
            full = [origin for origin, number in receivers.items() if number >= TO_ONE]
            under_way = [delivery_id for delivery_id, _ in busy]
            for each in self._store.due(self._clock(), free, besides=under_way, not_to=full):
                if receivers[each.origin] < TO_ONE:
                    receivers[each.origin] += 1
                    self._begin(each)
        return BUSY_PAUSE_S if self._under_way else PAUSE_S

    def close(self) -> None:
        """Wait a moment for what is under way; what does not end is sent again after the next start."""
        self._closing.set()
        deadline = time.monotonic() + CLOSE_S
        for _, thread in list(self._under_way.values()):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _begin(self, delivery: Delivery) -> None:
        thread = threading.Thread(target=self._deliver, args=(delivery,), name="callback", daemon=True)
        self._under_way[delivery.id] = (delivery.origin, thread)
        thread.start()

    def _deliver(self, delivery: Delivery) -> None:
        answer = self._attempt(delivery)
        while not self._noted(delivery, answer) and not self._closing.wait(PAUSE_S):
            pass  # a queue that cannot be written would have us send it again and again
        self._under_way.pop(delivery.id)

    def _attempt(self, delivery: Delivery) -> Answer:
        try:
            return self._post.send(delivery.url, delivery.message_id, delivery.body, self._clock())
        except Exception:  # the fence around one message: the others go on, and this one by its plan
            logger.exception("a callback to %s failed", delivery.origin, extra={"task_id": delivery.task_id})
            return Answer("a defect of this program; its log says more")

    def _noted(self, delivery: Delivery, answer: Answer) -> bool:
        """Write down what came of an attempt; tell whether that could be done."""
        try:
            self._note(delivery, answer)
        except UnavailableError:
            return False
        return True

    def _note(self, delivery: Delivery, answer: Answer) -> None:
        attempts = delivery.attempts + 1
        about = {"task_id": delivery.task_id}
        if answer.error is None:
            self._store.delivered(delivery.id)
            self._tell("delivered")
            logger.info("callback to %s delivered", delivery.origin, extra=about)
            return
        wait = None if answer.gone else pause(attempts, random.random(), answer.wait)  # noqa: S311 - jitter
        told = (delivery.origin, attempts, ATTEMPTS, answer.error)
        if wait is None:
            self._store.give_up(delivery.id, answer.error, refused=answer.gone)
            self._tell("given_up")
            logger.warning("callback to %s given up after attempt %d of %d: %s", *told, extra=about)
            return
        self._store.put_off(delivery.id, answer.error, self._clock() + wait)
        self._tell("put_off")
        logger.info("callback to %s, attempt %d of %d: %s; again in %.0f s", *told, wait, extra=about)
