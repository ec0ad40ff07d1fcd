"""What the queue holds of recordings that a client waits for: a task and a file each, gone without a trace after."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from pipeline.options import text_key
from pipeline.queue.matching import spooled
from pipeline.queue.rows import fingerprint_columns, to_file
from pipeline.queue.statements import Statements
from pipeline.queue.tables import file, task
from pipeline.spool import PREFIX, PRIORITY
from pipeline.tasks import FileState, Fingerprint, MediaFile, Source, TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.queue.changes import Change


class Spooled(Statements):
    """The part of TaskStore for recordings that no other part shows."""

    def admit(self, path: bytes, fingerprint: Fingerprint, options: Mapping[str, Any]) -> MediaFile:
        """Queue a spooled recording ahead of all others."""
        shared = {"options": dict(options), "priority": PRIORITY}

        def run(change: Change) -> MediaFile:
            times = {"created_at": change.now, "updated_at": change.now}
            own = {"id": secrets.token_hex(16), "dirname": path, "source": Source.API}
            change.connection.execute(insert(task), {**own, **shared, **times, "state": TaskState.PENDING})
            row = {
                "task_id": own["id"],
                "path": path,
                "directory": PREFIX.rstrip(b"/"),
                "state": FileState.QUEUED,
                **fingerprint_columns(fingerprint),
                "text_key": text_key(options),
                "outputs": [],
                "warnings": [],
            }
            made = insert(file).values({**row, **shared, **times}).returning(*file.c)
            return to_file(change.connection.execute(made).one())

        return self._write(run)

    def withdraw(self, path: bytes) -> list[MediaFile]:
        """Delete all that is known of a spooled recording; return its row as it was, lease and all."""

        def run(change: Change) -> list[MediaFile]:
            gone = change.connection.execute(delete(file).where(file.c.path == path).returning(*file.c))
            withdrawn = [to_file(row) for row in gone]
            change.connection.execute(delete(task).where(task.c.dirname == path))
            return withdrawn

        return self._write(run)

    def spooled(self) -> list[bytes]:
        """Return the paths of the spooled recordings that the queue knows."""
        with self._database.read() as connection:
            return list(connection.scalars(select(task.c.dirname).where(spooled(task.c.dirname))))
