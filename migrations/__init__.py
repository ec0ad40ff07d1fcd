"""The queue's schema, step by step; applied at start, or by `alembic upgrade head`."""
