"""What tests/unit/queue/test_reading.py says of SQLite is true of PostgreSQL."""

from tests.unit.queue.test_reading import *  # noqa: F403 - every test and fixture of it
