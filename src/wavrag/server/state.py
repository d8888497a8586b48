"""Shared state of a server: the knowledge base, its folders, jobs, models and limits."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from filelock import FileLock, Timeout

from wavrag import config
from wavrag.access import AuditLog
from wavrag.errors import InputError, SpeechError, StoreError
from wavrag.kb import Backend, FileChecks, OriginalFile, Transcriber, open_beside, open_blob
from wavrag.live import Scheduler
from wavrag.rag import WavRAG
from wavrag.server import limits
from wavrag.server.authentication import Authenticator
from wavrag.server.job_runner import JobRunner
from wavrag.server.job_service import JobService
from wavrag.server.jobs import IndexJob, JobBook
from wavrag.server.lease import hold_lease
from wavrag.server.metrics import Metrics
from wavrag.server.options import ServerOptions
from wavrag.server.queues import WorkQueue
from wavrag.server.suggestions import Suggester
from wavrag.server.watcher import FolderWatcher
from wavrag.server.worker import JobWorker
from wavrag.speech import Engine, best_engine
from wavrag.store import Blobs
from wavrag.types import Passage, Query

T = TypeVar("T")
DEFAULT_COLLECTION = "default"  # the only one of a server of a single knowledge base
MAX_VIEWS = 64  # for different labels; each keeps an index of its words


@dataclass(frozen=True, slots=True)
class ServerView:
    """The documents that some access labels may see, and what is derived from them."""

    rag: WavRAG
    suggester: Suggester


@contextmanager
def incoming_files(backend: Backend) -> Iterator[Path]:
    """A folder for files that are being received, while a server serves a knowledge base.

    Unless the knowledge base is shared, only one server may serve it, because it runs the jobs.

    Raises:
        StoreError: another server serves it.
    """
    if backend.folder is None:
        lease = nullcontext() if backend.is_shared else hold_lease(backend.records)
        with lease, TemporaryDirectory(prefix="wavrag-incoming-") as name:
            yield Path(name)
        return
    folder = backend.folder.absolute()
    # Released by another thread than the one that acquires it, hence not thread-local.
    lock = FileLock(folder / "server.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"another server serves {folder}: stop it, or serve another folder (--kb)"
        ) from error
    try:
        incoming = folder / "incoming"
        incoming.mkdir(exist_ok=True)
        for path in incoming.iterdir():  # left by a killed process
            path.unlink()
        yield incoming
    finally:
        lock.release()


class SharedState:
    """What all collections of a server share: limits, queues, metrics and models of speech."""

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.audit = AuditLog(options.audit_file)
        self.authenticator = Authenticator(options)
        self.metrics = Metrics()
        self.speech_engine: Engine | None = None  # set by start()
        self.transcriber = Transcriber()
        # Shared by all live connections; half of the processors are for other requests.
        workers = max(1, config.threads() // 2)
        self.scheduler = Scheduler(workers, answers=options.max_concurrent_answers)
        self.intake = CapacityLimiter(1)  # threads for voice activity detection
        self.live_addresses: list[str] = []  # of the live connections
        # Searches and other short work; longer work lets them go first.
        self._short = WorkQueue(
            limits.CONCURRENT_COMPUTATIONS, limits.MAX_WAITING, share=limits.CLIENT_COMPUTATIONS
        )
        self._files = WorkQueue(limits.CONCURRENT_FILES, limits.MAX_WAITING_FILES, self._short)
        self.speech = WorkQueue(limits.CONCURRENT_SPEECH, limits.MAX_WAITING_SPEECH, self._short)
        self.embeddings = WorkQueue(
            limits.CONCURRENT_EMBEDDINGS, limits.MAX_WAITING_EMBEDDINGS, self._short
        )
        self.answers = WorkQueue(options.max_concurrent_answers, limits.MAX_WAITING_ANSWERS)

    def start(self) -> None:
        """Load the speech engine."""
        with suppress(SpeechError):  # without an engine, `/v1/audio/speech` is not offered
            self.speech_engine = best_engine(self.options.voice)

    def stop(self) -> None:
        """End the work of live connections."""
        self.scheduler.close()

    async def run_in_thread(self, stage: str, function: Callable[..., T], *arguments: object) -> T:
        """Run a blocking function on a thread of its kind of work, and record its time.

        Raises:
            RequestError: too many requests of that kind wait (429).
        """
        start_time = time.perf_counter()
        queue = {
            "take": self._files, "cut": self._files,
            "speak": self.speech, "transcribe": self.speech,
        }.get(stage, self._short)  # fmt: skip
        result = await queue.run(partial(function, *arguments))
        self.metrics.stages.labels(stage).observe(time.perf_counter() - start_time)
        return result


class ServerState:
    """The state of one collection; its `WavRAG` stays open when the server stops.

    Args:
        rag: its knowledge base.
        shared: the state of the server.
        name: its name.
    """

    def __init__(self, rag: WavRAG, shared: SharedState, name: str = DEFAULT_COLLECTION) -> None:
        self.rag = rag
        self.shared = shared
        self.name = name
        self.options = shared.options
        self.view = lru_cache(MAX_VIEWS)(self._open_view)
        self.is_ready = False
        self.blobs = rag.kb.backend.blobs
        self.incoming_folder: Path  # set by start()
        self._resources = ExitStack()
        self._file_checks = FileChecks()
        self.jobs: JobBook  # set by start()
        self.worker: JobService  # set by start()
        self.watcher: FolderWatcher  # set by start()

    def start(self) -> None:
        """Lock the knowledge base, load the models and resume unfinished jobs; idempotent.

        Raises:
            StoreError: another server has the knowledge base open.
        """
        if self.is_ready:
            return
        backend = self.rag.kb.backend
        self.incoming_folder = self._resources.enter_context(incoming_files(backend))
        try:
            jobs: JobBook
            worker: JobService
            if backend.pool is None and not self.options.workers:
                raise InputError(
                    f"{self.rag.kb.address} needs the server's own workers: leave out --workers 0,"
                    " which is for knowledge bases in PostgreSQL"
                )
            if backend.pool is None:
                jobs = JobBook(backend.records)
                worker = JobWorker(jobs, self._create_runner(jobs), self.options.workers)
            else:
                # Imported here, because Procrastinate is installed with `wavrag[postgres]` only.
                from wavrag.server.queued_jobs import QueuedJobBook, open_queued_jobs

                jobs = QueuedJobBook(backend.records)
                runner = self._create_runner(jobs)
                worker = open_queued_jobs(backend.pool, jobs, runner, self.options.workers)
            watcher = FolderWatcher(self.rag.kb, self.options.watch_folders)
            # Now, or the first user would wait for seconds; the query warms up the store.
            self.rag.kb.retrieve(Query(text="warm"), 1)
            self.rag.kb.embedder.load()
            worker.start()
            watcher.start()
        except BaseException:
            self._resources.close()
            raise
        self.jobs, self.worker, self.watcher = jobs, worker, watcher
        self.is_ready = True

    def stop(self) -> None:
        """Stop the worker and unlock the knowledge base."""
        if self.is_ready:
            self.is_ready = False
            self.watcher.stop()
            self.worker.stop()
            self._resources.close()

    def _create_runner(self, jobs: JobBook) -> JobRunner:
        return JobRunner(
            self.rag.kb, jobs, self.options, self.shared.metrics.jobs, audit=self.shared.audit,
            collection=self.name,
        )  # fmt: skip

    def _open_view(self, labels: frozenset[str] | None) -> ServerView:
        rag = self.rag if labels is None else self.rag.restrict(labels)
        return ServerView(rag, Suggester(rag))

    async def wait_for_job(self, job: IndexJob, seconds: float) -> IndexJob:
        """Wait for the end of a job, with a time limit; return the job as it is then."""
        deadline = time.monotonic() + seconds
        # Polls instead of waiting on a thread: many waiting clients would use up the thread pool.
        while not job.has_ended and self.worker.is_alive and time.monotonic() < deadline:
            await asyncio.sleep(self.worker.poll_seconds)
            if self.jobs.is_shared:
                current = await to_thread.run_sync(self.jobs.get, job.id)
                job = current or job
        return job

    def resolve_source(self, source: str) -> Path:
        """The file of a document's source, even if the knowledge base has been moved."""
        return Path(self.rag.kb.resolve_source(source))

    def modified(self, source: str) -> float | None:
        """The time of a source's last change, in seconds since 1970; None if it is unknown."""
        blobs, blob = self._remote_blob(source)
        stored = blobs.find(blob) if blobs else None
        if stored is not None:
            return stored.modified
        # A member of an archive is as old as the archive, if it was not kept as a file.
        for path in (self.resolve_source(source), source.partition("!/")[0]):
            with suppress(OSError, ValueError):  # ValueError: a source with a NUL, from `Document`
                return os.stat(path).st_mtime
        return None

    def open_original(self, passage: Passage) -> OriginalFile | None:
        """Open the file of a document, or a copy of it, with the content that was indexed."""
        digest = self.rag.kb.file_digest(passage.document_id)
        files = (self._open(source, digest) for source in (passage.source, *passage.copies))
        return next((file for file in files if file is not None), None)

    def _open(self, source: str, digest: str) -> OriginalFile | None:
        blobs, blob = self._remote_blob(source)
        original = open_blob(blobs, blob) if blobs else None
        # There is none for a file that is indexed in place and has the name of an upload.
        return original or self._file_checks.open(str(self.resolve_source(source)), digest)

    def _remote_blob(self, source: str) -> tuple[Blobs | None, str]:
        """Object storage, if the file of a source may be there, and its name."""
        name = self.rag.kb.originals.blob_name(source)
        if name is None or self.blobs is None or self.blobs.is_local:
            return None, ""
        return self.blobs, name

    def open_recording(self, passage: Passage) -> OriginalFile | None:
        """Open the recording of a document, or the one beside a transcript."""
        if passage.modality == "audio":
            return self.open_original(passage)
        if passage.recording is None:
            return None
        return open_beside(passage.recording, passage.source)
