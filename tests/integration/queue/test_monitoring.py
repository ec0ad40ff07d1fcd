"""What tests/unit/queue/test_monitoring.py says of SQLite is true of PostgreSQL."""

from tests.unit.queue.test_monitoring import *  # noqa: F403 - every test and fixture of it
