"""What tests/unit/queue/test_leasing.py says of SQLite is true of PostgreSQL."""

from tests.unit.queue.test_leasing import *  # noqa: F403 - every test and fixture of it
