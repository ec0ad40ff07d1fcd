"""What becomes of a job that ended: its transcript committed, or its failure judged by kind."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Literal

from pipeline.errors import IllegalTransitionError, OutputsUnwritableError, UnavailableError
from pipeline.logs import ids
from pipeline.outputs import Written
from pipeline.queue.rows import lease_of
from pipeline.relay.messages import Result
from pipeline.spool import is_spooled
from pipeline.tasks import Fingerprint, MediaFile, Problem, display

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.queue.store import TaskStore
    from pipeline.relay.calls import Calls
    from pipeline.relay.commit import Committer, Prepared
    from pipeline.relay.links import Held
    from pipeline.relay.messages import Fail
    from pipeline.relay.retries import Retries

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 5
EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})

Verdict = Literal["committed", "stale"]


class NotNowError(Exception):
    """The host cannot take the outcome at present; it is kept and tried again."""


class Outcomes:
    """Settles one ended job after another; what the host cannot take now stays with the caller."""

    def __init__(
        self,
        store: TaskStore,
        committer: Committer,
        retries: Retries,
        calls: Calls,
        on_gone: Callable[[bytes], None],
    ) -> None:
        """`on_gone` hears of each source that was not there: it may be back before anybody looks."""
        self._store = store
        self._calls = calls
        self._on_gone = on_gone
        self._committer = committer
        self._retries = retries
        self.trouble: str | None = None  # why an outcome waits

    def settle(self, held: Held, now: float) -> Verdict | None:
        """Deal with the job's outcome; None when it must be tried again later (disk full, database not writable)."""
        try:
            verdict = self._fenced(held, now)
        except IllegalTransitionError:
            verdict = "stale"
        except (UnavailableError, NotNowError) as error:
            self._wait(held, error)
            return None
        if is_spooled(held.file.path):
            self._calls.look(self._store.file(held.file.id))
        self.trouble = None
        return verdict

    def _wait(self, held: Held, error: Exception) -> None:
        if self.trouble is None:
            logger.warning("%s: its outcome waits: %s", display(held.file.path), error, extra=ids(held.file))
        self.trouble = str(error)

    def _fenced(self, held: Held, now: float) -> Verdict:
        """Judge the outcome; an error that is this file's alone fails this file alone."""
        try:
            return self._judge(held, now)
        except OSError as error:
            if self._host_is_short(error):
                raise NotNowError(str(error)) from error
            self._try_again(held, Problem(code=OutputsUnwritableError.code, message=str(error)), now)
        except (IllegalTransitionError, UnavailableError, NotNowError):
            raise
        except Exception:  # the per-file fence: one odd result must not stop the others
            logger.exception(
                "%s: its result could not be committed", display(held.file.path), extra=ids(held.file)
            )
            self._store.fail(held.lease, Problem(code="internal", message="committing failed; see the log"))
        return "committed"

    def _judge(self, held: Held, now: float) -> Verdict:
        if isinstance(held.outcome, Result) and is_spooled(held.file.path):
            self._calls.done(held.file.path, held.outcome, held.options)  # who waited withdraws the rest
        elif isinstance(held.outcome, Result):
            return self._commit(held, held.outcome)
        elif isinstance(held.outcome, Written):
            there = held.outcome
            self._store.done_already(held.lease, outputs=there.outputs, warnings=there.warnings)
        elif held.outcome:
            self._fail(held, held.outcome, now)
        return "committed"

    # ---- results ----

    def _commit(self, held: Held, result: Result) -> Verdict:
        held.prepared = held.prepared or self._begin(held, result)
        if held.prepared is None:
            return "stale"
        put = self._committer.put(held.prepared)
        self._store.finish_commit(held.lease, outputs=put.outputs, warnings=put.warnings)
        return "committed"

    def _begin(self, held: Held, result: Result) -> Prepared | None:
        """Announce the commit; nothing of it when lease, stage and disk do not speak of one source."""
        seen = Fingerprint(result.size, result.mtime_ns)
        on_disk = self._on_disk(held.file)
        if on_disk is None:
            self._skip(held)
            return None
        if not held.file.fingerprint == seen == on_disk:
            self._store.unsettle(held.lease)
            return None
        prepared = self._committer.prepare(held.file, result, held.options)
        held.file = self._store.begin_commit(
            held.lease,
            output_sha256=prepared.sha256,
            sha256=result.sha256,
            fingerprint=seen,
            duration=result.duration,
            language=result.language,
        )
        return prepared

    def _on_disk(self, file: MediaFile) -> Fingerprint | None:
        """Return the source's fingerprint now, None when it was removed; a workdir not mounted removes nothing."""
        root = self._committer.root
        try:
            stat = (root / os.fsdecode(file.path)).stat()
        except (FileNotFoundError, NotADirectoryError):
            if not root.is_dir() or not any(root.iterdir()):
                raise NotNowError(f"{root} is empty or not mounted") from None
            return None
        return Fingerprint(stat.st_size, stat.st_mtime_ns)

    def _host_is_short(self, error: OSError) -> bool:
        """Tell an error that goes by itself and hits every file (full, read-only) from one of this file's place."""
        if error.errno == errno.EROFS:
            return bool(os.statvfs(self._committer.output_dir or self._committer.root).f_flag & os.ST_RDONLY)
        return error.errno in EXHAUSTED

    # ---- failures ----

    def _fail(self, held: Held, fail: Fail, now: float) -> None:
        problem = Problem(code=fail.code, message=fail.message)
        match fail.kind:
            case "transient":
                self._try_again(held, problem, now)
            case "permanent":
                self._store.fail(held.lease, problem)
            case "changed" if is_spooled(held.file.path):
                self._store.fail(held.lease, problem)  # nobody would look whether it has settled
            case "crash":
                self._store.crashed(held.lease, problem)
            case "changed":
                self._store.unsettle(held.lease)
            case "gone":
                self._gone(held, now)
            case "returned":
                self._store.give_back(held.lease)

    def _try_again(self, held: Held, problem: Problem, now: float) -> None:
        if held.file.attempts >= MOST_ATTEMPTS:
            self._store.fail(held.lease, problem)
        else:
            self._retries.later(self._store.retry_later(held.lease, problem), now)

    def _gone(self, held: Held, now: float) -> None:
        if not is_spooled(held.file.path) and self._on_disk(held.file) is None:
            self._skip(held)
            return
        message = f"stage {held.worker} cannot see the file; does its machine mount the same workdir?"
        self._try_again(held, Problem(code="not_seen", message=message), now)

    def _skip(self, held: Held) -> None:
        self._store.gone(held.lease)
        self._on_gone(held.file.path)


def recover(store: TaskStore, committer: Committer, file: MediaFile) -> None:
    """End a commit that a core before this one had begun: the JSON is there as announced, or the file waits again."""
    put = committer.is_there(file)
    if put:
        store.finish_commit(lease_of(file), outputs=put.outputs, warnings=put.warnings)
    else:
        store.requeue_commit(file.id)
