"""What tests/unit/queue/test_arriving.py says of SQLite is true of PostgreSQL."""

from tests.unit.queue.test_arriving import *  # noqa: F403 - every test and fixture of it
