"""The tables, as SQLAlchemy Core sees them and Alembic compares them. Paths are bytes, times seconds since the epoch.

State names come from `pipeline.tasks`; a name added there needs a migration (a test compares the two).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    Enum,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    literal_column,
)

from pipeline.queue.records import DeliveryState, EventKind, Outcome
from pipeline.tasks import ACTIVE, FileState, Source, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

_RowId = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts by itself in SQLite


def _names(kind: type[StrEnum], name: str) -> Enum:
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=16,
        values_callable=lambda names: [each.value for each in names],
    )


def one_of(column: ColumnElement[Any], states: Iterable[StrEnum]) -> ColumnElement[bool]:
    """Return `column IN (…)` written out in the SQL: a partial index serves only states that the planner can see."""
    return column.in_([_written_out(state) for state in sorted(states)])


def stands(rows: FromClause) -> ColumnElement[bool]:
    """Return `state != 'superseded'` over the table `file` or an alias of it, written out likewise."""
    column: ColumnElement[Any] = rows.c.state
    return column != _written_out(FileState.SUPERSEDED)


def _written_out(state: StrEnum) -> ColumnElement[Any]:
    """Return a state as a part of the statement: a parameter would be put into its text at each execution."""
    return literal_column(f"'{state.value}'")


meta = Table(
    "meta",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),  # grows with each start of the core
    CheckConstraint("id = 1", name="one_row"),
)

task = Table(
    "task",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("dirname", LargeBinary, nullable=False),
    Column("state", _names(TaskState, "state"), nullable=False),
    Column("source", _names(Source, "source"), nullable=False),
    Column("options", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("error_code", String),
    Column("error_message", String),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("updated_at", Double, nullable=False),
)

_active = one_of(task.c.state, ACTIVE)
Index("uq_task_active", task.c.dirname, unique=True, sqlite_where=_active, postgresql_where=_active)
Index("ix_task_newest", task.c.created_at, task.c.id)
Index("ix_task_state", task.c.state, task.c.created_at, task.c.id)
Index("ix_task_dirname", task.c.dirname, task.c.created_at, task.c.id)

file = Table(
    "file",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("task_id", String(32), ForeignKey("task.id"), nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("directory", LargeBinary, nullable=False),  # of the path; b"." at the root
    Column("state", _names(FileState, "state"), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("options", JSON, nullable=False),
    Column("text_key", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False, default=0),
    Column("token", BigInteger, nullable=False, default=0),
    Column("worker", String),
    Column("attempts", Integer, nullable=False, default=0),
    Column("crashes", Integer, nullable=False, default=0),
    Column("duration", Double),
    Column("position", Double, nullable=False, default=0.0),
    Column("language", String),
    Column("sha256", String),
    Column("output_sha256", String),
    Column("outputs", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("error_code", String),
    Column("error_message", String),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("updated_at", Double, nullable=False),
    CheckConstraint("size >= 0", name="size"),
    CheckConstraint("attempts >= 0", name="attempts"),
    sqlite_autoincrement=True,  # an id is never given twice: an old lease or listener may hold it
)

standing = stands(file)
done = one_of(file.c.state, (FileState.DONE,))
held = one_of(file.c.state, (FileState.LEASED, FileState.COMMITTING))
Index(
    "uq_file_source",
    *(file.c.path, file.c.size, file.c.mtime_ns, file.c.text_key),
    unique=True,
    sqlite_where=standing,
    postgresql_where=standing,
)
Index("ix_file_lease", file.c.state, file.c.crashes, file.c.priority.desc(), file.c.id)
Index("ix_file_held", file.c.path, sqlite_where=held, postgresql_where=held)
Index(
    "ix_file_task_seconds", file.c.task_id, file.c.state, file.c.duration, file.c.position
)  # counts and sums
Index("ix_file_task_path", file.c.task_id, file.c.path, file.c.id)
Index("ix_file_directory", file.c.directory)
Index("ix_file_done_size", file.c.size, sqlite_where=done, postgresql_where=done)
Index("ix_file_done_sha256", file.c.sha256, sqlite_where=done, postgresql_where=done)

attempt = Table(
    "attempt",
    metadata,
    Column("file_id", _RowId, ForeignKey("file.id", ondelete="CASCADE"), primary_key=True),
    Column("token", BigInteger, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("worker", String, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("outcome", _names(Outcome, "outcome")),
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("file_id", _RowId, ForeignKey("file.id", ondelete="CASCADE"), primary_key=True),
    Column("start", BigInteger, primary_key=True),  # of the window, in samples
    Column("text_key", String, nullable=False),  # of the complete options that made it
    Column("window", LargeBinary, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("at", Double, nullable=False),
    Column("task_id", String(32), nullable=False),
    Column("file_id", _RowId),
    Column("kind", _names(EventKind, "kind"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("detail", JSON, nullable=False),
    sqlite_autoincrement=True,  # an id is never given twice: an old lease or listener may hold it
)

callback = Table(
    "callback",
    metadata,
    Column("task_id", String(32), ForeignKey("task.id", ondelete="CASCADE"), primary_key=True),
    Column("url", String, primary_key=True),
    Column("refused", Boolean, nullable=False, default=False),  # the receiver answered 410: no more of these
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("task_id", String(32), ForeignKey("task.id", ondelete="CASCADE"), nullable=False),
    Column("url", String, nullable=False),
    Column("origin", String, nullable=False),  # scheme, host and port of the url: one receiver
    Column("state", _names(DeliveryState, "state"), nullable=False),
    Column("message_id", String(40), nullable=False),  # the same in all attempts
    Column("body", LargeBinary),  # until it has ended
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Double, nullable=False, default=0.0),  # 0: at once
    Column("last_error", String),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    sqlite_autoincrement=True,  # an id is never given twice: a thread may still deliver one of a forgotten task
)

pending = one_of(delivery.c.state, (DeliveryState.PENDING,))
Index("ix_delivery_pending", delivery.c.next_at, sqlite_where=pending, postgresql_where=pending)
Index("ix_delivery_task", delivery.c.task_id, delivery.c.id)
