"""procrastinate under test: `procrastinate_queue.py URL TASKS EVERY`: one task in EVERY waits, the others are done."""

from __future__ import annotations

import asyncio
import sys
from collections import deque

import orders
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Status

MANY = 500
FILL = """
    SET session_replication_role = replica;
    INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)
    SELECT 'default', 'transcribe', '{{"path": "d1/a.wav"}}',
           (CASE WHEN i %% {every} = 0 THEN 'todo' ELSE 'succeeded' END)::procrastinate_job_status
    FROM generate_series(1, {count}) AS i;
    RESET session_replication_role;
    ANALYZE procrastinate_jobs
"""


class Procrastinate:
    """The calls, as its own worker and its users make them."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=1))
        self._task = self._app.task(name="transcribe")(self._transcribe)
        self._fetched: deque[int] = deque()
        self._run(self._app.open_async())

    def prepare(self, count: int, every: int) -> None:
        """Make its tables, and rows without the events that its triggers would add."""
        self._run(self._app.schema_manager.apply_schema_async())
        self._run(self._app.connector.execute_query_async(FILL.format(count=count, every=every)))
        self._worker = self._run(self._app.job_manager.register_worker())

    def enqueue(self) -> None:
        """Defer one job."""
        self._run(self._task.defer_async(path="new/1.wav"))

    def enqueue_many(self) -> None:
        """Defer 500 in one statement."""
        self._run(self._task.batch_defer_async(*({"path": f"new/{n}.wav"} for n in range(MANY))))

    def lease(self) -> None:
        """Fetch the next job."""
        job = self._run(self._app.job_manager.fetch_job(None, self._worker))
        self._fetched.append(job.id)

    def finish(self) -> None:
        """Mark one that was fetched as succeeded."""
        job = self._fetched.popleft()
        self._run(self._app.job_manager.finish_job_by_id_async(job, Status.SUCCEEDED, delete_job=False))

    def close(self) -> None:
        """Close its connections."""
        self._run(self._app.close_async())

    def _run(self, awaitable):  # noqa: ANN001, ANN202 - whatever procrastinate gives
        return self._loop.run_until_complete(awaitable)

    @staticmethod
    async def _transcribe(path: str) -> None:
        """Stand for the work."""


if __name__ == "__main__":
    url, count, every = sys.argv[1:]
    system = Procrastinate(url)
    system.prepare(int(count), int(every))
    orders.serve({name: getattr(system, name) for name in ("enqueue", "enqueue_many", "lease", "finish")})
    system.close()
