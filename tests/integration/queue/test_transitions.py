"""The table of transitions, as PostgreSQL enforces it."""

from tests.unit.test_tasks import test_the_queue_allows_exactly_the_pairs_of_the_table  # noqa: F401 - the same contract
