"""What tests/unit/api/test_live.py says of SQLite is true of PostgreSQL."""

from tests.unit.api.test_live import *  # noqa: F403 - every test of it
