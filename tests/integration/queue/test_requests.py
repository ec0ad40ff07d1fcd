"""What tests/unit/queue/test_requests.py says of SQLite is true of PostgreSQL."""

from tests.unit.queue.test_requests import *  # noqa: F403 - every test and fixture of it
