"""What tests/unit/queue/test_delivering.py says of SQLite is true of PostgreSQL."""

from tests.unit.queue.test_delivering import *  # noqa: F403 - every test and fixture of it
