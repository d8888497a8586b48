"""Jobs of a knowledge base in PostgreSQL: any server takes them, any worker executes them."""

from __future__ import annotations

import re
import time

from wavrag.errors import StoreError
from wavrag.server.job_queue import JobQueue
from wavrag.server.job_runner import JobRunner
from wavrag.server.job_service import JobService, WriterCondition
from wavrag.server.jobs import (
    ID_PATTERN,
    SHARE_SECONDS,
    IndexJob,
    JobBook,
    JobOptions,
    LostJobError,
    Upload,
    dump_job,
    load_job,
)
from wavrag.server.queue_worker import QueueWorker, Workplace
from wavrag.store import PostgresPool, Records


class QueuedJobBook(JobBook):
    """Jobs in records that several processes change; nothing is kept in memory."""

    is_shared = True

    def __init__(self, records: Records) -> None:
        super().__init__(records)
        self._shared: dict[str, float] = {}  # monotonic time of the last `share` by job

    def save(self, job: IndexJob) -> None:
        """Keep a job's state; see `JobBook.save`.

        Raises:
            LostJobError: another worker has started the job, or it has ended.
        """
        self._save(job)
        if job.has_ended:
            self._shared.pop(job.id, None)
            self._delete_oldest(self.all())

    def restart(self, job: IndexJob) -> bool:
        """Set a failed job back to its first attempt; see `JobBook.restart`."""

        def change(value: bytes | None) -> bytes | None:
            stored = None if value is None else load_job(value)
            if stored is None or stored.state != "failed":
                raise LostJobError
            stored.requeue()
            return dump_job(stored)

        try:
            self._records.update("jobs", job.id, change)
        except LostJobError:
            return False
        job.requeue()
        return True

    def request_cancel(self, job: IndexJob) -> None:
        """Let the worker of a job end it."""

        def change(value: bytes | None) -> bytes | None:
            stored = None if value is None else load_job(value)
            if stored is None or stored.has_ended:
                return value
            stored.is_cancelled = True
            return dump_job(stored)

        self._records.update("jobs", job.id, change)

    def share(self, job: IndexJob) -> None:
        """Show progress and learn of a cancellation, once a second; see `JobBook.share`."""
        now = time.monotonic()
        if now - self._shared.get(job.id, -SHARE_SECONDS) >= SHARE_SECONDS:
            self._shared[job.id] = now
            self._save(job)

    def get(self, id: str) -> IndexJob | None:
        """A job as it is now; see `JobBook.get`."""
        value = self._records.get("jobs", id) if re.fullmatch(ID_PATTERN, id) else None
        return None if value is None else self._read(id, value)

    def _remember(self, job: IndexJob) -> None:
        """Keeps nothing in memory."""

    def all(self) -> list[IndexJob]:
        """All jobs as they are now; see `JobBook.all`."""
        return self._read_all()

    def _save(self, job: IndexJob) -> None:
        def change(value: bytes | None) -> bytes:
            stored = None if value is None else load_job(value)
            if stored is None or stored.has_ended or stored.runs > job.runs:
                raise LostJobError
            job.is_cancelled = job.is_cancelled or stored.is_cancelled
            return dump_job(job)

        self._records.update("jobs", job.id, change)


def open_queued_jobs(
    pool: PostgresPool, jobs: QueuedJobBook, runner: JobRunner, slots: int
) -> QueuedJobs:
    """Open the queue of a server, with a worker unless there are no slots."""
    queue = JobQueue(pool)
    workplace = Workplace(jobs, queue, runner)
    worker = QueueWorker(pool, lambda _: workplace, tenant=pool.tenant, slots=slots)
    return QueuedJobs(jobs, queue, runner, worker if slots else None)


class QueuedJobs(JobService):
    """The jobs of a server with a durable queue.

    Args:
        jobs: their records.
        queue: the queue.
        runner: ends cancelled jobs and deletes files.
        worker: the worker of this process; None to leave the jobs to others.
    """

    poll_seconds = 0.2  # each asks the database

    def __init__(
        self, jobs: QueuedJobBook, queue: JobQueue, runner: JobRunner, worker: QueueWorker | None
    ) -> None:
        self._jobs, self._queue, self._runner, self._worker = jobs, queue, runner, worker

    def start(self) -> None:
        """Delete orphaned uploads, queue jobs that are not, and start the worker."""
        self._runner.delete_orphans(self.submit)
        for job in self._jobs.all():
            if not job.has_ended:  # such as that of a process killed between record and queue
                self._queue.put(job)
        if self._worker is not None:
            self._worker.start()

    def stop(self) -> None:
        """Stop the worker of this process after the current document."""
        if self._worker is not None:
            self._worker.stop()

    @property
    def is_alive(self) -> bool:
        """True unless the worker of this process has ended."""
        return self._worker is None or self._worker.is_alive

    @property
    def condition(self) -> WriterCondition:
        """What the worker of this process is doing, for `/healthz`."""
        return self._runner.condition if self.is_alive else "stopped"

    def submit(
        self, uploads: list[Upload], document_ids: list[str], options: JobOptions | None = None
    ) -> IndexJob:
        """Submit a job; see `JobService.submit`."""
        job = self._jobs.create(uploads, document_ids, options)
        try:
            self._queue.put(job)
        except StoreError:
            self._jobs.delete(job.id)
            raise
        return job

    def retry(self, job: IndexJob) -> None:
        """Queue a failed job again."""
        if self._jobs.restart(job):
            self._queue.put(job)

    def cancel(self, job: IndexJob) -> None:
        """End a job: at once if it waits, otherwise after the current document."""
        self._jobs.request_cancel(job)
        if self._queue.remove(job):
            try:
                self._runner.cancel(job)
            except LostJobError:  # it has ended by itself
                return

    def discard(self, job: IndexJob) -> None:
        """Delete a failed job and its files."""
        self._jobs.delete(job.id)
        self._runner.delete_unused(job)

    def count_pending(self) -> int:
        """Number of unfinished jobs, in all processes."""
        return self._queue.count()
