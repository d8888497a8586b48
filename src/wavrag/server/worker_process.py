"""Runs a worker process for the knowledge bases of a PostgreSQL database."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from importlib.util import find_spec

from wavrag.access import AuditLog
from wavrag.embed import load_embedder
from wavrag.errors import InputError, MissingExtraError
from wavrag.kb import KnowledgeBase, open_backend, tenant_address, tenant_of
from wavrag.server.job_runner import JobRunner
from wavrag.server.job_service import WorkerTimes
from wavrag.server.metrics import Metrics
from wavrag.server.options import ServerOptions


def run_worker(
    address: str | os.PathLike[str] | None,
    options: ServerOptions,
    *,
    on_start: Callable[[str], object] = lambda name: None,
    times: WorkerTimes | None = None,
) -> None:
    """Execute jobs until SIGTERM or SIGINT.

    Args:
        address: `postgresql://USER@HOST/DATABASE` (default: `WAVRAG_KB`). With `?tenant=NAME` only
            the jobs of that tenant, otherwise those of all.
        options: `workers`, `max_recording_seconds` and `audit_file` count.
        on_start: called with the name of the database before the first job.
        times: when the jobs of killed workers are restarted.

    Raises:
        InputError: the address is not that of a database.
        MissingExtraError: the extra is not installed.
        StoreError: the database is not usable.
    """
    if find_spec("procrastinate") is None:
        raise MissingExtraError("a worker", "postgres")
    from wavrag.server.job_queue import JobQueue
    from wavrag.server.queue_worker import QueueWorker, Workplace
    from wavrag.server.queued_jobs import QueuedJobBook

    load = cache(load_embedder)  # tenants share models
    metrics, audit = Metrics(), AuditLog(options.audit_file)
    with ExitStack() as opened:
        backend = opened.enter_context(open_backend(address))
        pool, url = backend.pool, backend.url
        if pool is None:
            raise InputError(
                f"{backend.address} has no queue of jobs: the server executes its jobs, and workers"
                " are for postgresql://..."
            )

        def open_workplace(tenant: str) -> Workplace:
            kb = opened.enter_context(
                KnowledgeBase.open(tenant_address(url, tenant), create=False, load=load)
            )
            kb.embedder.load()
            jobs = QueuedJobBook(kb.backend.records)
            runner = JobRunner(kb, jobs, options, metrics.jobs, audit=audit, collection=tenant)
            return Workplace(jobs, JobQueue(kb.backend.pool or pool), runner)

        worker = QueueWorker(
            pool, open_workplace, tenant=tenant_of(url), slots=options.workers, times=times
        )
        on_start(backend.address)
        worker.run(handle_signals=True)
