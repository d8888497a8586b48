"""`QueueWorker`: executes jobs of the durable queue, in a server or in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import psycopg
from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException

from wavrag.errors import WavRAGError
from wavrag.server.job_queue import JobQueue, PostponedError, create_worker_app
from wavrag.server.job_runner import JobRunner
from wavrag.server.job_service import WorkerTimes
from wavrag.server.jobs import JobBook
from wavrag.store import PostgresPool

logger = logging.getLogger(__name__)

SLOTS = 3  # jobs at a time
GRACE_SECONDS = 10.0  # for jobs to end after SIGTERM; then they go back to the queue
ORDER_DELAY = 1.0  # seconds, until a job asks again if an earlier one of its documents has ended
MISSING_DELAY = 30.0  # seconds, until the next attempt to open a knowledge base
RECONNECT_DELAY = 5.0  # seconds, after the connection to the database was lost


class Workplace(NamedTuple):
    """Records, queue and runner of the jobs of a tenant."""

    jobs: JobBook
    queue: JobQueue
    runner: JobRunner


class QueueWorker:
    """Executes jobs until it is stopped.

    Args:
        pool: connections to the database.
        open_workplace: called once for each tenant with jobs.
        tenant: the only tenant to serve; None for all of the database.
        slots: number of jobs at a time.
        times: when the jobs of killed workers are restarted.
    """

    def __init__(
        self,
        pool: PostgresPool,
        open_workplace: Callable[[str], Workplace],
        *,
        tenant: str | None = None,
        slots: int = SLOTS,
        times: WorkerTimes | None = None,
    ) -> None:
        self._slots = slots
        self._times = times = times or WorkerTimes()
        self._create_app: Callable[[], App] = lambda: create_worker_app(
            pool, self._execute, tenant=tenant, slots=slots, times=times
        )
        self._open_workplace = open_workplace
        self._workplaces: dict[str, Workplace] = {}
        self._opening = threading.Lock()
        self._stopping = threading.Event()  # no further jobs
        self._in_haste = threading.Event()  # running jobs end after the current document
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self.run, name="wavrag-worker")

    def run(self, *, handle_signals: bool = False) -> None:
        """Execute jobs until `stop`.

        Args:
            handle_signals: end at SIGTERM and SIGINT, too. Running jobs have `GRACE_SECONDS`; then
                they go back to the queue.
        """
        asyncio.run(self._run(handle_signals))

    def _end(self) -> None:
        """End gracefully; called on the thread of the event loop."""
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()

    def start(self) -> None:
        """Execute jobs on a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the documents that are being stored; unfinished jobs go back to the queue."""
        self._in_haste.set()
        self._stopping.set()
        with suppress(RuntimeError):  # the loop has ended
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._end)
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """True while the thread executes jobs."""
        return self._thread.is_alive()

    async def _run(self, handle_signals: bool) -> None:
        self._loop = asyncio.get_running_loop()
        if handle_signals:
            for signal_number in (signal.SIGINT, signal.SIGTERM):
                self._loop.add_signal_handler(signal_number, self._end)
        while not self._stopping.is_set():
            self._task = asyncio.create_task(self._run_once())
            try:
                await self._task
            except asyncio.CancelledError:
                return
            except (ConnectorException, psycopg.Error) as error:
                # The text of the error may hold the password.
                logger.warning("the job queue is not reachable: %s", type(error).__name__)
            await asyncio.to_thread(self._stopping.wait, RECONNECT_DELAY)

    async def _run_once(self) -> None:
        app = self._create_app()
        await app.open_async()
        try:
            await app.run_worker_async(
                concurrency=self._slots,
                delete_jobs="always",
                install_signal_handlers=False,
                shutdown_graceful_timeout=GRACE_SECONDS,
                update_heartbeat_interval=self._times.heartbeat,
                stalled_worker_timeout=self._times.stalled,
            )
        finally:
            await app.close_async()

    def _execute(self, context: JobContext) -> None:
        arguments = context.job.task_kwargs
        tenant, id = str(arguments["tenant"]), str(arguments["job"])
        try:
            jobs, queue, runner = self._workplace(tenant)
            job = jobs.get(id)
            if job is None or job.has_ended:
                return
            if queue.must_wait(int(context.job.id or 0), job.documents):
                raise PostponedError(ORDER_DELAY)
        except WavRAGError as error:
            logger.warning("jobs of tenant %s have to wait: %s", tenant, error)
            raise PostponedError(MISSING_DELAY) from error
        delay = runner.attempt(job, lambda: self._in_haste.is_set() or context.should_abort())
        if delay is not None:
            raise PostponedError(delay)

    def _workplace(self, tenant: str) -> Workplace:
        with self._opening:
            if tenant not in self._workplaces:
                self._workplaces[tenant] = self._open_workplace(tenant)
            return self._workplaces[tenant]
