"""Turning queued files into jobs: whose turn it is, with which options, from which window on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import ReadFailedError, UnavailableError
from pipeline.logs import ids
from pipeline.options import as_json, merge, text_key
from pipeline.outputs import Written
from pipeline.queue.rows import lease_of
from pipeline.relay.links import Held
from pipeline.relay.messages import Job, Window, decode_window
from pipeline.spool import is_spooled
from pipeline.tasks import MediaFile, display

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.options import Options
    from pipeline.queue.store import TaskStore
    from pipeline.relay.links import Board, Link

logger = logging.getLogger(__name__)

Find = Callable[[MediaFile], Written | None]
BEYOND = 4  # urgent jobs that a worker gets beside all that it asked for: long files may fill it for hours


class Offers:
    """Leases files for the workers on the board, as far as their credit goes; urgent ones a little further."""

    def __init__(self, store: TaskStore, board: Board, defaults: Options, transcript: Find) -> None:
        """`transcript` returns that of a file that is done already."""
        self._transcript = transcript
        self._store = store
        self._board = board
        self._defaults = defaults
        self._turn = 0  # who is asked first

    def step(self, now: float) -> list[Held]:
        """Lease for each worker in turn; each gets its share only, so that one cannot empty the queue."""
        links = self._in_turn()
        emptied = self._to_be_emptied(links)
        taken: list[Held] = []
        for link in links:
            if link.credit > 0:
                taken += self._lease(link, -(-link.credit // len(links)), now, for_suspect=link is emptied)
        return taken

    def step_urgent(self, now: float) -> list[Held]:
        """Lease spooled recordings alone, one to each worker in turn, also to those that asked for nothing more.

        Suspects too: a worker gives back what is not urgent for one, so that no client waits for long files, or
        for the end of a pause.
        """
        taken: list[Held] = []
        for link in self._in_turn():
            if link.credit > -BEYOND and not any(held.solo for held in self._board.of(link)):
                taken += self._take(link, self._store.lease(link.worker, 1, urgent=True), now)
        return taken

    def _in_turn(self) -> list[Link]:
        """Return the workers, another one first each time."""
        self._turn += 1
        links = list(self._board.links.values())
        first = self._turn % len(links) if links else 0
        return links[first:] + links[:first]

    def _to_be_emptied(self, links: Sequence[Link]) -> Link | None:
        """Return the worker that is next to hold nothing, where a file waits that is suspected of killing a child.

        It gets no other work until then, so that in a steady stream the suspect has its turn all the same.
        """
        at_work = {link.worker: self._board.of(link) for link in links}
        open_to_it = [
            link
            for link in links
            if (link.credit > 0 or at_work[link.worker])
            and not any(held.solo for held in at_work[link.worker])
        ]
        if not open_to_it or not self._store.suspect_waits():
            return None
        return min(open_to_it, key=lambda link: (len(at_work[link.worker]), link.worker))

    def _lease(self, link: Link, limit: int, now: float, *, for_suspect: bool) -> list[Held]:
        """Lease up to `limit` files; a suspect goes alone, to a worker that holds nothing."""
        at_work = self._board.of(link)
        if any(held.solo for held in at_work) or (for_suspect and at_work):
            return []
        if for_suspect:
            files = self._store.lease(link.worker, 1, solo=True)
        else:
            files = self._store.lease(link.worker, limit, solo=False)
        return self._take(link, files, now)

    def _take(self, link: Link, files: Sequence[MediaFile], now: float) -> list[Held]:
        taken = [self._hold(file, link.worker, now) for file in files]
        link.credit -= sum(held.job is not None for held in taken)
        return taken

    def _hold(self, file: MediaFile, worker: str, now: float) -> Held:
        """Put a leased file on the board; one that cannot become a job now goes back."""
        lease = lease_of(file)
        held = Held(file=file, lease=lease, worker=worker, options=self._defaults, sent_at=now)
        self._board.jobs[file.id] = held
        try:
            self._begin(held)
        except UnavailableError as error:
            held.fail("returned", "unavailable", str(error))
        except OSError as error:  # it must not look like a file that was never done
            message = f"its transcript cannot be looked for: {error.strerror}"
            held.fail("transient", ReadFailedError.code, message)
        return held

    def _begin(self, held: Held) -> None:
        written = self._transcript(held.file)
        if written is None:
            self._make_job(held)
            return
        logger.info("%s: was done already", display(held.file.path), extra=ids(held.file))
        held.end(written)

    def _make_job(self, held: Held) -> None:
        file = held.file
        held.options = merge(self._defaults, file.options)
        held.text_key = text_key(as_json(held.options))
        resume = tuple(self._finished(file, held.text_key))
        held.windows, held.position = len(resume), file.position if resume else 0.0
        held.duration, held.language = file.duration, file.language
        held.job = _job(held, resume)

    def _finished(self, file: MediaFile, key: str) -> list[Window]:
        """Return the windows that need not be done again; one that an older release wrote otherwise is done again."""
        if file.token == 1:
            return []  # no stage has had it yet: most files need no second transaction
        windows = []
        for raw in self._store.windows(file.id, key):
            try:
                windows.append(decode_window(raw))
            except msgspec.MsgspecError:
                logger.warning(
                    "%s: a checkpointed window cannot be read and is done again",
                    display(file.path),
                    extra=ids(file),
                )
        return windows


def _job(held: Held, resume: tuple[Window, ...]) -> Job:
    file = held.file
    return Job(
        epoch=file.epoch,
        token=file.token,
        file_id=file.id,
        path=file.path,
        size=file.fingerprint.size,
        mtime_ns=file.fingerprint.mtime_ns,
        options=held.options,
        resume=resume,
        solo=held.solo,
        urgent=is_spooled(file.path),
    )
