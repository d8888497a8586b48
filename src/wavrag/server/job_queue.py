"""The durable queue of jobs in a PostgreSQL database, by Procrastinate.

A row of the queue names a job; the job itself is a record of its knowledge base. Rows are deleted
when their jobs end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import TYPE_CHECKING, Any

from procrastinate import (
    App,
    BaseRetryStrategy,
    JobContext,
    PsycopgConnector,
    RetryDecision,
    SyncPsycopgConnector,
)
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job
from procrastinate.manager import JobManager

from wavrag.server.job_service import WorkerTimes
from wavrag.server.jobs import IndexJob
from wavrag.store import PostgresPool

if TYPE_CHECKING:
    from psycopg import Connection

TASK = "index"
RESCUE = "rescue"
CONNECTIONS = 4  # of a worker to the queue

_WAITING = """
    SELECT queue_name,
        count(*) FILTER (WHERE status = 'doing') AS running,
        max(priority) FILTER (WHERE status = 'todo') AS priority,
        min(id) FILTER (WHERE status = 'todo') AS first
    FROM procrastinate_jobs
    WHERE status = 'doing' OR (status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()))
    GROUP BY queue_name
"""
_FIND = "SELECT id FROM procrastinate_jobs WHERE lock = %s AND status IN ('todo', 'doing')"
_COUNT = """
    SELECT count(*) FROM procrastinate_jobs
    WHERE status IN ('todo', 'doing') AND split_part(queue_name, ':', 1) = %s
"""
_OTHERS = """
    SELECT 1 FROM procrastinate_jobs
    WHERE status IN ('todo', 'doing') AND split_part(queue_name, ':', 1) = %s AND id < %s
        AND args->'documents' ?| %s::text[]
    LIMIT 1
"""


class PostponedError(Exception):
    """An attempt at a job has ended, and another one follows."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the next attempt is in {seconds:g} s")
        self.seconds = seconds


class JobQueue:
    """Jobs of one tenant that wait for a worker, or that one is executing.

    Args:
        pool: connections to the database.

    Raises:
        StoreError: the database is not usable; so do the methods.
    """

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool
        self._app = App(connector=SyncPsycopgConnector())  # runs on connections of the pool
        pool.migrate("queue", _migrations())

    def put(self, job: IndexJob) -> None:
        """Add a job, unless it is there already."""
        size = "large" if job.is_large else "small"
        lock = self._lock(job)

        def defer(connection: Connection[Any]) -> None:
            if connection.execute(_FIND, [lock]).fetchone() is not None:
                return
            deferrer = self._app.configure_task(
                TASK, queue=f"{self._pool.tenant}:{size}", priority=job.priority, lock=lock,
                queueing_lock=lock, connection=connection,
            )  # fmt: skip
            with suppress(AlreadyEnqueued):  # by another process, just now
                deferrer.defer(tenant=self._pool.tenant, job=job.id, documents=list(job.documents))

        self._pool.run(defer)

    def remove(self, job: IndexJob) -> bool:
        """Remove a job that waits; False if there is none, or a worker is executing it."""

        def cancel(connection: Connection[Any]) -> bool:
            manager = self._app.job_manager
            row = connection.execute(_FIND, [self._lock(job)]).fetchone()
            return row is not None and manager.cancel_job_by_id(
                row[0], delete_job=True, connection=connection
            )

        return self._pool.run(cancel)

    def count(self) -> int:
        """Number of jobs that wait or are being executed."""
        rows = self._pool.run(
            lambda connection: connection.execute(_COUNT, [self._pool.tenant]).fetchall()
        )
        return int(rows[0][0])

    def must_wait(self, row: int, documents: list[str]) -> bool:
        """True if an earlier job of the same documents has not ended.

        Args:
            row: number of the job in the queue.
            documents: ids of its documents.
        """
        values = [self._pool.tenant, row, documents]
        return self._pool.run(
            lambda connection: connection.execute(_OTHERS, values).fetchone() is not None
        )

    def _lock(self, job: IndexJob) -> str:
        # Procrastinate lets one job with a lock wait, and executes one at a time.
        return f"{self._pool.tenant}/{job.id}"


class FairJobManager(JobManager):
    """Chooses the next job for a worker.

    The tenant with the fewest running jobs comes first, then the one that this worker has served
    least recently, so that a tenant with a thousand jobs does not hold up another one. Of a tenant,
    the job with the highest priority comes first, then the oldest.

    Args:
        connector: connection to the database.
        tenant: the only tenant to serve; None for all.
        slots: number of jobs that the worker executes at a time.
    """

    def __init__(self, connector: PsycopgConnector, tenant: str | None, slots: int) -> None:
        super().__init__(connector)
        self._tenant = tenant
        self._large_slots = max(1, slots - 1)  # the others are for small jobs
        self._large_jobs = 0  # that this worker is executing
        self._served: dict[str, int] = {}  # tenants, with the number of the latest fetch
        self._fetches = 0

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Fetch a job, if there is one."""
        rows = await self.connector.execute_query_all_async(query=_WAITING)
        running: Counter[str] = Counter()
        for row in rows:
            running[_tenant(row["queue_name"])] += row["running"]
        waiting = [row for row in rows if row["first"] is not None]

        def rank(row: dict[str, Any]) -> tuple[bool, int, int, int, int]:
            name = row["queue_name"]
            tenant = _tenant(name)
            served = self._served.get(tenant, 0)
            return name != RESCUE, running[tenant], served, -row["priority"], row["first"]

        for row in sorted(waiting, key=rank):
            name = row["queue_name"]
            is_large = name.endswith(":large")
            if is_large and self._large_jobs >= self._large_slots:
                continue
            if name != RESCUE and self._tenant not in (None, _tenant(name)):
                continue
            job = await super().fetch_job([name], worker_id)
            if job is not None:  # otherwise another worker was faster
                self._fetches += 1
                self._served[_tenant(name)] = self._fetches
                self._large_jobs += is_large
                return job
        return None

    def release(self, queue: str) -> None:
        """Note that a job from a queue is no longer executed by this worker."""
        self._large_jobs -= queue.endswith(":large")


class _Retry(BaseRetryStrategy):
    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When to try a job again; None if it has ended."""
        if isinstance(exception, PostponedError):
            return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=exception.seconds))
        return None


def create_worker_app(
    pool: PostgresPool,
    run: Callable[[JobContext], None],
    *,
    tenant: str | None,
    slots: int,
    times: WorkerTimes,
) -> App:
    """Create the Procrastinate application of a worker.

    Args:
        pool: connections to the database, for its address.
        run: executes a job on a thread; raises `PostponedError` for another attempt.
        tenant: the only tenant to serve; None for all.
        slots: number of jobs at a time.
        times: when the jobs of killed workers are restarted.
    """
    pool.migrate("queue", _migrations())
    connector = PsycopgConnector(
        kwargs=pool.connection_options, min_size=1, max_size=CONNECTIONS, name="wavrag-worker"
    )
    app = App(connector=connector)
    manager = FairJobManager(connector, tenant, slots)
    app.job_manager = manager

    def index(context: JobContext, /, **_: Any) -> None:
        try:
            run(context)
        finally:
            manager.release(context.job.queue)

    async def rescue(context: JobContext, timestamp: int) -> None:
        stalled = await manager.get_stalled_jobs(seconds_since_heartbeat=times.stalled)
        for job in stalled:
            await manager.retry_job(job)

    app.task(name=TASK, queue=TASK, retry=_Retry(), pass_context=True)(index)
    # Without a lock, which a killed worker would keep.
    task = app.task(name=RESCUE, queue=RESCUE, queueing_lock=RESCUE, pass_context=True)(rescue)
    app.periodic(cron=times.rescue)(task)
    return app


def _tenant(queue: str) -> str:
    return queue.partition(":")[0]


def _migrations() -> list[str]:
    """Procrastinate's changes of its tables, oldest first."""
    folder = resources.files("procrastinate.sql") / "migrations"
    names = sorted(path.name for path in folder.iterdir() if re.fullmatch(r".*\.sql", path.name))
    return [(folder / name).read_text(encoding="utf-8") for name in names]
