"""What tests/unit/queue/test_census.py says of SQLite is true of PostgreSQL."""

from tests.unit.queue.test_census import *  # noqa: F403 - every test and fixture of it
