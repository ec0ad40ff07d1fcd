"""The core's end of the relay: leases go out as jobs, what comes back advances the queue."""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from pipeline.errors import IllegalTransitionError, UnavailableError
from pipeline.logs import ids
from pipeline.relay.calls import Calls
from pipeline.relay.links import Board, Held, StageInfo
from pipeline.relay.messages import Drain, Message, Pause, Result
from pipeline.relay.offers import Find, Offers
from pipeline.relay.outcomes import Outcomes, recover
from pipeline.relay.reception import Reception
from pipeline.relay.retries import Retries
from pipeline.relay.sockets import Router
from pipeline.relay.vigil import Vigil
from pipeline.tasks import display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.options import Options
    from pipeline.queue.store import TaskStore
    from pipeline.relay.commit import Committer
    from pipeline.tasks import MediaFile

logger = logging.getLogger(__name__)

LOOK_S = 0.25  # between looks that found nothing to lease
AGAIN_S = 5.0  # between tries to settle what the host could not take


class Dispatch:
    """The relay of one core. Requests come from any thread; everything else, the socket too, from one."""

    def __init__(  # noqa: PLR0913 - the parts that it connects
        self,
        store: TaskStore,
        committer: Committer,
        defaults: Options,
        *,
        bind: str,
        epoch: int,
        calls: Calls | None = None,
        transcript: Find = lambda _file: None,
        on_gone: Callable[[bytes], None] = lambda _path: None,
        make_room: Callable[[], None] = lambda: None,
        poll_s: float = 0.2,
    ) -> None:
        """`transcript` returns that of a file that was done before; `make_room` lets others compute between ends."""
        self._store = store
        self._calls = Calls() if calls is None else calls
        self._committer = committer
        self._poll_s = poll_s
        self._make_room = make_room
        self._router = Router(bind)
        self._board = Board()
        self._reception = Reception(
            store, self._router, self._board, self._calls, epoch=epoch, model=defaults.model
        )
        self._retries = Retries(store)
        self._outcomes = Outcomes(store, committer, self._retries, self._calls, on_gone)
        self._vigil = Vigil(self._router, self._board)
        self._offers = Offers(store, self._board, defaults, transcript)
        self._requests: deque[Callable[[], None]] = deque()
        self._pauses: set[str] = set()  # reasons as given; the board has those followed
        self._look_at = 0.0
        self.endpoint = self._router.endpoint
        self.totals = self._board.totals
        self.stages: list[StageInfo] = []

    # ---- requests, followed in the next step ----

    def pause(self, reason: str) -> None:
        """Lease nothing and have the stages stop at their next window, until every reason is gone."""
        self._pauses.add(reason)

    def resume(self, reason: str) -> None:
        """Take one reason to pause away."""
        self._pauses.discard(reason)

    def cancel(self, files: Iterable[MediaFile]) -> None:
        """Have the stages drop these files; the queue has cancelled them."""
        self._requests.append(partial(self._cancel, list(files)))

    def look(self) -> None:
        """Lease without waiting for the next look: somebody waits."""
        self._requests.append(self._look)

    def drain(self) -> None:
        """Have the stages give back what is not finished; nothing is leased any more."""
        self._requests.append(self._drain)

    # ---- what there is to know ----

    @property
    def drained(self) -> bool:
        """Whether no lease is out after `drain`."""
        return self._board.draining and not self._board.jobs

    @property
    def paused(self) -> list[str]:
        """The reasons why nothing is leased, from the moment they are given."""
        return sorted(self._pauses)

    @property
    def trouble(self) -> str | None:
        """Why outcomes wait (disk full, database not writable), or None."""
        return self._outcomes.trouble

    # ---- before the first step and after the last ----

    def recover(self, committing: Iterable[MediaFile]) -> None:
        """Finish or requeue the commits that a core before this one had begun."""
        for file in committing:
            recover(self._store, self._committer, file)

    def release_all(self) -> None:
        """Give back, uncharged, what is still leased; commits under way are left to recovery."""
        for held in self._board.jobs.values():
            if held.prepared is None:
                self._give_back(held)
        self._board.jobs.clear()

    def close(self) -> None:
        """Close the socket."""
        self._router.close()

    # ---- one iteration ----

    def step(self, now: float) -> float:
        """Receive, save and settle what came, watch the stages, lease; return 0, as it waits for messages itself."""
        received = self._router.receive(0.0 if self._board.ended(now) else self._poll_s)
        while self._requests:
            self._requests.popleft()()
        self._follow_pauses()
        for identity, raw in received:
            self._reception.take(identity, raw, now)
        self._vigil.step(now)
        self._save()
        self._settle(now)
        self._give_out(now)
        self.stages = [link.show(len(self._board.of(link))) for link in self._board.links.values()]
        return 0.0

    def _save(self) -> None:
        """Checkpoint the windows that came; a Result brings all of its own."""
        for held in list(self._board.jobs.values()):
            if held.moved and not isinstance(held.outcome, Result):
                self._checkpoint(held)

    def _checkpoint(self, held: Held) -> None:
        try:
            self._store.checkpoint(
                held.lease,
                sorted(held.unsaved.items()),
                position=held.position,
                duration=held.duration,
                language=held.language,
                text_key=held.text_key,
            )
        except IllegalTransitionError:
            self._drop(held)
        except UnavailableError as error:
            logger.warning("%s; finished windows are kept in memory", error)
        else:
            held.unsaved.clear()
            held.moved = False

    def _settle(self, now: float) -> None:
        """Settle the jobs that ended and tell their stages; what the host cannot take now is tried again."""
        for held in self._board.ended(now):
            verdict = self._outcomes.settle(held, now)
            if verdict is None:
                held.due = now + AGAIN_S
                continue
            del self._board.jobs[held.file.id]
            link = self._board.link_of(held.worker)
            if link:
                self._reception.acknowledge(link, held.lease, committed=verdict == "committed")
            if not self._calls:  # else somebody waits for a stage itself
                self._make_room()

    def _give_out(self, now: float) -> None:
        """Queue again what is due and lease, unless something forbids it or there was nothing just now.

        While an outcome waits for the host nothing is begun: what cannot be kept need not be made. A pause is one of
        batch work: what somebody waits for goes on.
        """
        waiting = any(held.outcome for held in self._board.jobs.values())
        rests = bool(self._board.pauses) and not self._calls
        if waiting or rests or self._board.draining or now < self._look_at:
            return
        try:
            self._retries.step(now)
            self._lease(now)
        except UnavailableError as error:
            logger.warning("nothing is leased: %s", error)
            self._look_at = now + AGAIN_S

    def _lease(self, now: float) -> None:
        taken = [] if self._board.pauses else self._offers.step(now)
        if self._calls:
            taken += self._offers.step_urgent(now)
        if not taken:
            self._look_at = now + LOOK_S
        for held in taken:
            link = self._board.link_of(held.worker)
            if link and held.job:
                self._router.send(link.identity, held.job)  # not accepted, it is sent again

    # ---- requests ----

    def _look(self) -> None:
        self._look_at = 0.0

    def _follow_pauses(self) -> None:
        before, self._board.pauses = self._board.pauses, frozenset(self._pauses)
        if bool(before) != bool(self._board.pauses):
            self._tell_all(Pause(paused=not before))

    def _drain(self) -> None:
        self._board.draining = True
        self._tell_all(Drain())

    def _tell_all(self, message: Message) -> None:
        for link in self._board.links.values():
            self._router.send(link.identity, message)

    def _cancel(self, files: list[MediaFile]) -> None:
        for file in files:
            held = self._board.jobs.get(file.id)
            if held and held.lease.token == file.token and held.prepared is None:
                self._drop(held)

    def _drop(self, held: Held) -> None:
        """Forget a job that the queue has taken from under us."""
        del self._board.jobs[held.file.id]
        if link := self._board.link_of(held.worker):
            self._reception.cancel(link, held.lease)

    def _give_back(self, held: Held) -> None:
        try:
            self._store.give_back(held.lease)
        except (IllegalTransitionError, UnavailableError) as error:
            logger.warning("%s: left to recovery: %s", display(held.file.path), error, extra=ids(held.file))
