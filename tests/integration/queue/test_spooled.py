"""What tests/unit/queue/test_spooled.py says of SQLite is true of PostgreSQL."""

from tests.unit.queue.test_spooled import *  # noqa: F403 - every test and fixture of it
