"""Callbacks: who is told of a task's end, and what is still to be told."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

STATES = ("pending", "delivered", "given_up")


def upgrade() -> None:
    """Make rows of the one column, as a task may have several callbacks; then what they are told."""
    _callback()
    op.execute(
        "INSERT INTO callback (task_id, url, refused)"
        " SELECT id, callback_url, false FROM task WHERE callback_url IS NOT NULL"
    )
    op.drop_column("task", "callback_url")
    _delivery()


def _callback() -> None:
    op.create_table(
        "callback",
        _task_id(primary_key=True),
        sa.Column("url", sa.String, primary_key=True),
        sa.Column("refused", sa.Boolean, nullable=False),
    )


def _delivery() -> None:
    state = sa.Enum(*STATES, name="state", native_enum=False, create_constraint=True, length=16)
    op.create_table(
        "delivery",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        _task_id(nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("origin", sa.String, nullable=False),
        sa.Column("state", state, nullable=False),
        sa.Column("message_id", sa.String(40), nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("last_error", sa.String),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    pending: Any = sa.text("state IN ('pending')")
    op.create_index(
        "ix_delivery_pending", "delivery", ["next_at"], sqlite_where=pending, postgresql_where=pending
    )
    op.create_index("ix_delivery_task", "delivery", ["task_id", "id"])


def _task_id(**more: Any) -> sa.Column[str]:
    return sa.Column("task_id", sa.String(32), sa.ForeignKey("task.id", ondelete="CASCADE"), **more)
