"""The composition root: builds the rooms, starts them in order, answers the routes, stops in the reverse order."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

from api.audio.spool import Spool
from api.condition import notes_on_keys
from api.feed import Feed, encode
from api.forgetting import forget
from api.keys.ring import Ring
from api.live import Live
from api.metrics.figures import Figures
from api.names import meant
from api.runners import Runners
from api.stages import StageProcess, supervisor_command
from pipeline import VERSION, journal
from pipeline.errors import UnavailableError
from pipeline.ingest.beneath import clean
from pipeline.ingest.intake import Intake
from pipeline.ingest.rescan import Rescan
from pipeline.ingest.restored import Restored
from pipeline.ingest.upload import Uploads
from pipeline.ingest.watch import Watch
from pipeline.options import merge
from pipeline.pace import Pace, Precedence
from pipeline.queue.database import open_database
from pipeline.queue.holding import Holding
from pipeline.queue.store import TaskStore
from pipeline.relay.calls import Calls
from pipeline.relay.commit import Committer
from pipeline.relay.dispatch import Dispatch
from pipeline.relay.report import Report
from pipeline.room import Room
from pipeline.settings import message_locale, on_a_disk, prepare_workdir, queue_place, quiet_time
from pipeline.tasks import Source
from pipeline.webhooks.addresses import Addresses
from pipeline.webhooks.post import Post
from pipeline.webhooks.secret import Signer, load_or_make
from pipeline.webhooks.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.audio.spool import Recording
    from pipeline.relay.calls import Call
    from pipeline.settings import Settings
    from pipeline.tasks import Task

logger = logging.getLogger(__name__)

DRAIN_S = 20.0


class Core:
    """The one process that owns a queue: everything but HTTP, which asks it."""

    def __init__(
        self, settings: Settings, devices: Sequence[str] = ("cpu",), *, unattended: bool = True
    ) -> None:
        """Build every room; nothing runs yet. Not unattended: no watcher, no rescans, no quiet time (one shot)."""
        if unattended:
            prepare_workdir(settings)
        self.settings = settings
        self.keys = Ring(settings.api_keys_file) if settings.api_keys_file else None
        self.addresses = Addresses(settings.callback_allow)
        if settings.callback_url:
            self.addresses.check(settings.callback_url)
        self.place = queue_place(settings)
        self.draining = False
        self.database = open_database(self.place.url)
        self.figures = Figures()
        self.precedence = Precedence()
        listeners = (self.figures.flow.hear, journal.tell) if unattended else ()
        self.store = TaskStore(self.database, callback_url=settings.callback_url, listeners=listeners)
        self._asked = self.store.ahead()
        self.holding = Holding(self.database, self.place.folder if on_a_disk(self.place.url) else None)
        self.live = Live(self.store, encode)
        self.feed = Feed(self.live, self.store)
        epoch, committing = self.store.open_epoch()
        root, output_dir = settings.workdir, settings.output_dir
        self.room = Room(kept_free=settings.min_free_bytes)
        self.uploads = Uploads(os.fsencode(root), self.room, is_open=output_dir is None)
        self.committer = Committer(root, output_dir, VERSION)
        calls = Calls()
        self.dispatch = Dispatch(
            self.store,
            self.committer,
            settings.options,
            bind=settings.relay_bind,
            epoch=epoch,
            calls=calls,
            transcript=Restored(self.store, root, output_dir).transcript,
            make_room=Pace(self.precedence).breathe,
            on_gone=lambda path: self.intake.forget(path),  # noqa: PLW0108 - it is made below
        )
        self.spool = Spool(self.place.folder, self._asked, calls, self.dispatch, self.room)
        self.spool.sweep()
        self.dispatch.recover(committing)
        self.intake = Intake(
            self.store,
            root,
            output_dir=output_dir,
            quiet_seconds=quiet_time(settings) if unattended else 0.0,
            settle_looks=unattended,
            copy=self.committer.copy,
            render=self._render,
            can_put=self.committer.can_put,
            precedence=self.precedence,
        )
        self.rescan = Rescan(self.intake, settings.rescan_cron)
        self.watch = Watch(root, self.intake)
        self.report = Report(self.store, root, output_dir, language=message_locale())
        self.webhooks = self._make_sender() if unattended else None
        self.stages = [
            StageProcess(supervisor_command(settings, self.dispatch.endpoint, device)) for device in devices
        ]
        self.unattended = unattended
        self._runners = Runners(self)
        self.figures.watch(self)

    def start(self) -> None:
        """Start relay and stages first (the model takes longest to load), then watch before the first scan."""
        if self.unattended:
            for note in filter(None, (self.place.note, self.database.note, *notes_on_keys(self))):
                logger.warning("%s", note)
            self.uploads.sweep()
            if self.settings.watch:
                self.watch.start()
            self.rescan.start()
        self._runners.start()

    def stop(self) -> None:
        """Drain: no new work, at most 20 s for what is in flight to be given back, then everything in order."""
        self.draining = True
        self.spool.close()
        if self.unattended:
            self.rescan.stop()
            if self.settings.watch:
                self.watch.stop()
        self.dispatch.drain()
        deadline = time.monotonic() + DRAIN_S
        while not (self.dispatch.drained or self.database.lost) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._runners.stop()
        for stage in self.stages:
            stage.stop()
        self.dispatch.release_all()
        self.report.close()
        if self.webhooks:
            self.webhooks.close()
        self.live.close()
        self.close()

    def close(self) -> None:
        """Let go of what building took: the relay's socket, and the queue with its lock."""
        self.dispatch.close()
        self.database.close()

    # ---- what the routes and the command line ask ----

    def submit(
        self, dirname: str | bytes, named: Mapping[str, Any], *, source: Source = Source.API, **rules: Any
    ) -> Task:
        """Take a directory or media file in. Raises UnavailableError while draining."""
        self._refuse_when_draining()
        if url := rules.get("callback_url"):
            self.addresses.check(url)
        task = self.intake.submit(self.path(dirname), source, named, **rules)
        self._runners.wake()
        return task

    def receive(self, coming: int) -> Recording:
        """Begin to take in a recording of about so many bytes that its client waits for. Raises UnavailableError."""
        self.require_open()
        return self.spool.begin(coming)

    def require_open(self) -> None:
        """See that what a client sends can be taken in. Raises UnavailableError."""
        self._refuse_when_draining()
        if trouble := self.intake.suspended or self.holding.trouble:
            raise UnavailableError(trouble)

    def listen(self, recording: Recording, options: Mapping[str, Any], call: Call) -> None:
        """Transcribe what a client sent before all batch work, and tell it. Raises UnavailableError while draining."""
        self._refuse_when_draining()
        self.spool.admit(recording, options, call)

    def cancel(self, task_id: str) -> Task:
        """Cancel an active task; files already done stay."""
        task, leased = self._asked.cancel(task_id)
        self.dispatch.cancel(leased)
        self._runners.wake()
        return task

    def retry(self, task_id: str) -> Task:
        """Try the failed files of a task again."""
        self._refuse_when_draining()
        task, _count = self._asked.retry(task_id)
        self.rescan_now()  # which heals what failed before any stage had it
        return task

    def forget(self, path: str) -> list[bytes]:
        """Erase outputs and memory of recordings; return the outputs. What still lies there is new to the watcher."""
        inside = self.path(path)
        erased = forget(self._asked, self.committer, self.settings.workdir, inside)
        self.intake.forget(inside)
        return erased

    def path(self, name: str | bytes) -> bytes:
        """Return the path that a client means by a name. Raises BadPathError."""
        return clean(name) if isinstance(name, bytes) else meant(self.settings.workdir, name)

    def pause(self) -> None:
        """Stop batch work at the next window."""
        self.dispatch.pause("user")
        self._runners.wake()

    def resume(self) -> None:
        """Go on."""
        self.dispatch.resume("user")
        self._runners.wake()

    def rescan_now(self) -> None:
        """Scan the workdir as soon as possible."""
        self.rescan.request()
        self._runners.wake()

    # ---- inside ----

    def _make_sender(self) -> Sender:
        secrets = load_or_make(self.settings.callback_secret_file, self.place.folder)
        return Sender(self.store, Post(self.addresses, Signer(secrets)), tell=self.figures.called_back)

    def _render(self, path: bytes, named: Mapping[str, Any]) -> object:
        """Make the formats of a finished transcript again, as somebody asked for them."""
        return self.committer.render(path, merge(self.settings.options, named))

    def _refuse_when_draining(self) -> None:
        if self.draining:
            raise UnavailableError("the service is stopping")
