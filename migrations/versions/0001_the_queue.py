"""The queue: tasks, their files, attempts, checkpoints and events."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TASK_STATES = ("pending", "running", "completed", "partial", "failed", "cancelled")
SOURCES = ("watch", "api", "rescan", "cli")
FILE_STATES = (
    *("settling", "queued", "leased", "committing", "retry_wait", "done", "failed", "quarantined", "skipped"),
    *("superseded", "cancelled"),
)
OUTCOMES = ("done", "returned", "changed", "retry", "failed", "crashed", "gone", "cancelled", "lost")
EVENT_KINDS = ("task", "file", "progress")


def upgrade() -> None:
    """Make all tables, from the one others point at to those that point."""
    _meta()
    _task()
    _file()
    _attempt()
    _checkpoint()
    _event()


def _row_id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _names(names: Sequence[str], name: str) -> sa.Enum:
    return sa.Enum(*names, name=name, native_enum=False, create_constraint=True, length=16)


def _index(name: str, table: str, columns: Sequence[str | sa.TextClause], where: str | None = None) -> None:
    only: dict[str, Any] = (
        {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)} if where else {}
    )
    op.create_index(name, table, list(columns), unique=name.startswith("uq_"), **only)


def _meta() -> None:
    op.create_table(
        "meta",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )


def _task() -> None:
    op.create_table(
        "task",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("dirname", sa.LargeBinary, nullable=False),
        sa.Column("state", _names(TASK_STATES, "state"), nullable=False),
        sa.Column("source", _names(SOURCES, "source"), nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("callback_url", sa.String),
        sa.Column("error_code", sa.String),
        sa.Column("error_message", sa.String),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    _index("uq_task_active", "task", ["dirname"], "state IN ('pending', 'running')")
    _index("ix_task_newest", "task", ["created_at", "id"])
    _index("ix_task_state", "task", ["state", "created_at", "id"])
    _index("ix_task_dirname", "task", ["dirname", "created_at", "id"])


def _file() -> None:
    op.create_table(
        "file",
        sa.Column("id", _row_id(), primary_key=True),
        sa.Column("task_id", sa.String(32), sa.ForeignKey("task.id"), nullable=False),
        sa.Column("path", sa.LargeBinary, nullable=False),
        sa.Column("directory", sa.LargeBinary, nullable=False),
        sa.Column("state", _names(FILE_STATES, "state"), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("text_key", sa.String, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.String),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("duration", sa.Double),
        sa.Column("position", sa.Double, nullable=False),
        sa.Column("language", sa.String),
        sa.Column("sha256", sa.String),
        sa.Column("output_sha256", sa.String),
        sa.Column("outputs", sa.JSON, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("error_code", sa.String),
        sa.Column("error_message", sa.String),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.CheckConstraint("size >= 0", name="size"),
        sa.CheckConstraint("attempts >= 0", name="attempts"),
        sqlite_autoincrement=True,
    )
    _index("uq_file_source", "file", ["path", "size", "mtime_ns", "text_key"], "state != 'superseded'")
    _index("ix_file_lease", "file", ["state", "crashes", sa.text("priority DESC"), "id"])
    _index("ix_file_held", "file", ["path"], "state IN ('committing', 'leased')")
    _index("ix_file_task_seconds", "file", ["task_id", "state", "duration", "position"])
    _index("ix_file_task_path", "file", ["task_id", "path", "id"])
    _index("ix_file_directory", "file", ["directory"])
    _index("ix_file_done_size", "file", ["size"], "state IN ('done')")
    _index("ix_file_done_sha256", "file", ["sha256"], "state IN ('done')")


def _attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("file_id", _row_id(), sa.ForeignKey("file.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("token", sa.BigInteger, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.String, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("outcome", _names(OUTCOMES, "outcome")),
    )


def _checkpoint() -> None:
    op.create_table(
        "checkpoint",
        sa.Column("file_id", _row_id(), sa.ForeignKey("file.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("start", sa.BigInteger, primary_key=True),
        sa.Column("text_key", sa.String, nullable=False),
        sa.Column("window", sa.LargeBinary, nullable=False),
    )


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("id", _row_id(), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("task_id", sa.String(32), nullable=False),
        sa.Column("file_id", _row_id()),
        sa.Column("kind", _names(EVENT_KINDS, "kind"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
