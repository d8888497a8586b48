"""The worker threads of background jobs.

Jobs of the same document keep their order. A job of large files does not hold up the small ones
behind it, nor does a document whose parser takes its whole time.
"""

from __future__ import annotations

import secrets
import threading

from wavrag.server.job_runner import JobRunner
from wavrag.server.job_service import JobService, WriterCondition
from wavrag.server.jobs import IndexJob, JobBook, JobOptions, Upload

WORKERS = 3


def generate_name(suffix: str) -> str:
    """A unique, unguessable name for an uploaded file."""
    return f"{secrets.token_hex(16)}{suffix}"


class JobWorker(JobService):
    """Executes jobs in the order of submission, a few at the same time."""

    poll_seconds = 0.02

    def __init__(self, jobs: JobBook, runner: JobRunner, workers: int = WORKERS) -> None:
        self._jobs = jobs
        self._runner = runner
        self._changed = threading.Condition()
        self._queue: list[IndexJob] = [job for job in jobs.all() if not job.has_ended]
        self._shutdown = False
        self._active_jobs: list[IndexJob] = []
        self._threads = [
            threading.Thread(target=self._run, name=f"wavrag-worker-{number}")
            for number in range(workers)
        ]

    def start(self) -> None:
        """Delete orphaned uploads and start with the unfinished jobs."""
        self._runner.delete_orphans(self.submit)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop after the current document; unfinished jobs resume at the next start."""
        with self._changed:
            self._shutdown = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def is_alive(self) -> bool:
        """True while jobs are executed."""
        return all(thread.is_alive() for thread in self._threads)

    @property
    def condition(self) -> WriterCondition:
        """What the worker thread is doing, for `/healthz`."""
        return self._runner.condition if self.is_alive else "stopped"

    def submit(
        self, uploads: list[Upload], document_ids: list[str], options: JobOptions | None = None
    ) -> IndexJob:
        """Submit a job; see `JobService.submit`."""
        with self._changed:
            job = self._jobs.create(uploads, document_ids, options)
            self._queue.append(job)
            self._changed.notify_all()
        return job

    def retry(self, job: IndexJob) -> None:
        """Queue a failed job again."""
        with self._changed:
            if self._jobs.restart(job):
                self._queue.append(job)
                self._changed.notify_all()

    def cancel(self, job: IndexJob) -> None:
        """End a job: at once if it waits, otherwise after the current document."""
        with self._changed:
            if job in self._active_jobs:
                job.is_cancelled = True
                self._jobs.save(job)
                self._changed.notify_all()
            elif job in self._queue:
                self._runner.cancel(job)
                self._queue.remove(job)

    def discard(self, job: IndexJob) -> None:
        """Delete a failed job and its files."""
        with self._changed:
            if job.state == "failed" and self._jobs.get(job.id) is job:
                self._jobs.delete(job.id)
                self._runner.delete_unused(job)

    def count_pending(self) -> int:
        """Number of unfinished jobs."""
        return len(self._queue)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._next_job() or self._shutdown)
                job = self._next_job()
                if self._shutdown or job is None:
                    return
                self._active_jobs.append(job)
            delay = self._runner.attempt(job, lambda: self._shutdown)
            with self._changed:
                if delay:
                    self._wait(job, delay)
                if delay is None:
                    self._queue.remove(job)
                self._active_jobs.remove(job)
                self._changed.notify_all()

    def _wait(self, job: IndexJob, seconds: float) -> None:
        self._changed.wait_for(lambda: self._shutdown or job.is_cancelled, seconds)

    def _next_job(self) -> IndexJob | None:
        """The job to run now; None if there is none that may."""
        # One large job runs at a time, and leaves the other threads to small ones.
        has_large = any(job.is_large for job in self._active_jobs)
        earlier: set[str] = set()
        candidates: list[IndexJob] = []
        for job in self._queue:
            ids = set(job.documents)
            is_free = job not in self._active_jobs and not (has_large and job.is_large)
            if is_free and not ids & earlier:
                candidates.append(job)
            earlier |= ids
        return max(candidates, key=lambda job: job.priority, default=None)
