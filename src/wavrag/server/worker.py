"""The worker threads of background jobs.

Jobs of the same document keep their order. A job of large files does not hold up the small ones
behind it, nor does a document whose parser takes its whole time.
"""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from prometheus_client import Counter

from wavrag.disk import is_disk_full
from wavrag.errors import InputError, StoreError, WavRAGError
from wavrag.kb import UPLOADS, KnowledgeBase, Progress, digest_file, file_digest_of, is_upload_name
from wavrag.server.audit import AuditLog
from wavrag.server.errors import public_message
from wavrag.server.jobs import IndexJob, JobBook, Upload, now
from wavrag.server.limits import MAX_JOB_ATTEMPTS
from wavrag.server.options import ServerOptions
from wavrag.shapes import AddReportShape, ProgressShape, RemovalShape
from wavrag.store import Blobs, StoredDocument
from wavrag.types import Document, Scalar

logger = logging.getLogger(__name__)

WORKERS = 3
LARGE_BYTES = 4 << 20  # of the files of a job; one such job runs at a time, and leaves the others
FIRST_RETRY_DELAY = 1.0  # seconds, doubled after each attempt
MAX_RETRY_DELAY = 300.0  # seconds
ORPHAN_SECONDS = 24 * 3600.0  # age from which an upload without a job is deleted
FULL_DISK_DELAY = 5.0  # seconds; an attempt on a full disk fails at once, so it costs little
FULL_DISK = "the disk is full: free space, and the job continues by itself"

WriterCondition: TypeAlias = Literal["running", "waiting for disk space", "retrying", "stopped"]


def generate_name(suffix: str) -> str:
    """A unique, unguessable name for an uploaded file."""
    return f"{secrets.token_hex(16)}{suffix}"


class _ShutdownError(Exception):
    """Ends a job at shutdown; stored documents stay, the others follow after the next start."""


class _RecordingTooLongError(Exception):
    """A recording is longer than the limit, although its header says otherwise."""


class JobWorker:
    """Executes jobs in the order of submission, a few at the same time."""

    def __init__(
        self,
        kb: KnowledgeBase,
        jobs: JobBook,
        options: ServerOptions,
        ended_jobs: Counter,
        *,
        audit: AuditLog | None = None,
        collection: str = "",
    ) -> None:
        self._kb = kb
        self._jobs = jobs
        self._options = options
        self._ended_jobs = ended_jobs
        self._audit = audit or AuditLog(None)
        self._collection = collection
        self._changed = threading.Condition()
        self._queue: list[IndexJob] = [job for job in jobs.all() if not job.has_ended]
        self._shutdown = False
        self._condition_name: WriterCondition = "running"
        self._active_jobs: list[IndexJob] = []
        self._threads = [
            threading.Thread(target=self._run, name=f"wavrag-worker-{number}")
            for number in range(WORKERS)
        ]

    def start(self) -> None:
        """Delete orphaned uploads and start with the unfinished jobs."""
        self._delete_orphans()
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
        return self._condition_name if self.is_alive else "stopped"

    def submit(
        self,
        uploads: list[Upload],
        document_ids: list[str],
        *,
        owner: str = "",
        user: str = "",
        labels: list[str] | None = None,
    ) -> IndexJob:
        """Submit a job, either to add uploads or to remove documents.

        It is on disk and survives a killed process or a power loss when the call returns.

        Args:
            uploads: files to index.
            document_ids: documents to remove.
            owner: id of the user.
            user: name of the user.
            labels: access labels of the user; None for all documents.
        """
        with self._changed:
            job = self._jobs.create(uploads, document_ids, owner=owner, user=user, labels=labels)
            self._queue.append(job)
            self._changed.notify_all()
        return job

    def retry(self, job: IndexJob) -> None:
        """Queue a failed job again."""
        with self._changed:
            if job.state == "failed":  # not if another client was faster
                self._jobs.save(replace(job, state="queued", attempts=0, error=None, ended=None))
                job.state, job.attempts, job.error, job.ended = "queued", 0, None, None
                self._queue.append(job)
                self._changed.notify_all()

    def discard(self, job: IndexJob) -> None:
        """Delete a failed job and its files."""
        with self._changed:
            if job.state == "failed" and self._jobs.get(job.id) is job:
                self._jobs.delete(job.id)
                self._delete_unused(job)

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
            delay = 0.0
            # Nothing may end this thread: uploads were promised to be indexed.
            try:
                self._attempt(job)
                self._condition_name = "running"
            except WavRAGError as error:
                logger.warning("job %s, attempt %d: %s", job.id, job.attempts, error)
                delay = self._postpone(job, error)
            except Exception as error:
                logger.exception("job %s", job.id)
                delay = self._postpone(job, error)
            if delay:
                with self._changed:
                    self._changed.wait_for(lambda: self._shutdown, delay)
            with self._changed:
                self._active_jobs.remove(job)
                self._changed.notify_all()

    def _next_job(self) -> IndexJob | None:
        """The first job that may run now."""
        has_large = any(map(_is_large, self._active_jobs))
        earlier: set[str] = set()
        for job in self._queue:
            ids = {upload.document_id for upload in job.uploads}.union(job.document_ids)
            is_free = job not in self._active_jobs and not (has_large and _is_large(job))
            if is_free and not ids & earlier:
                return job
            earlier |= ids
        return None

    def _attempt(self, job: IndexJob) -> None:
        """Execute a job.

        Raises:
            Exception: the job could not be executed, or its new state could not be saved. It is
                safe to try again, because documents that are stored already are left as they are.
        """
        if job.attempts >= MAX_JOB_ATTEMPTS:
            reason = job.error or "the server process ended during the job"
            self._end(job, "failed", f"gave up after {job.attempts} attempts: {reason}")
            return
        # Counted before the attempt, so that a job that kills the process is not tried forever.
        job.attempts += 1
        job.state = "running"
        self._jobs.save(job)
        try:
            report = self._add(job) if job.kind == "add" else self._remove(job)
        except _ShutdownError:
            job.attempts -= 1
            job.state = "queued"
            self._jobs.save(job)
            return
        job.report = report
        self._end(job, "done", None)

    def _postpone(self, job: IndexJob, error: Exception) -> float:
        """Note the failure of an attempt; return the seconds to wait before the next one."""
        delay = min(FIRST_RETRY_DELAY * 2.0 ** max(0, job.attempts - 1), MAX_RETRY_DELAY)
        job.state, job.report = "queued", None
        if is_disk_full(error):
            # Not counted: space can return after days.
            job.attempts = max(0, job.attempts - 1)
            self._condition_name, job.error = "waiting for disk space", FULL_DISK
            delay = FULL_DISK_DELAY
        elif isinstance(error, WavRAGError):
            # Bad documents are skipped, so this is the disk or the embedder: try again later.
            self._condition_name, job.error = "retrying", public_message(error)
        else:
            with suppress(StoreError):  # if this fails, the job is tried again
                # A defect of the program would happen again.
                self._end(job, "failed", "internal server error: see the log of the server")
                return 0.0
            self._condition_name, delay = "retrying", FIRST_RETRY_DELAY
        # Otherwise the state is in memory only, and a new process tries the job once more.
        with suppress(StoreError):
            self._jobs.save(job)
        return delay

    def _end(self, job: IndexJob, state: Literal["done", "failed"], error: str | None) -> None:
        outcome = replace(job, state=state, error=error, ended=now())
        self._jobs.save(outcome)
        if state == "done":
            # Only once that is on disk. A failed job keeps its files, and can be repeated.
            self._delete_unused(job)
        with self._changed:
            job.state, job.error, job.ended = outcome.state, outcome.error, outcome.ended
            self._queue.remove(job)
            self._changed.notify_all()
        self._ended_jobs.labels(job.kind, job.state).inc()
        with suppress(StoreError):  # the disk is full; the job has ended nonetheless
            self._audit.record(
                job.user,
                f"{job.kind}_job",
                collection=self._collection,
                documents=job.documents,
                result=job.state,
            )

    def _delete_unused(self, job: IndexJob) -> None:
        """Delete the files of a job that were skipped, or equal those of other documents."""
        for upload in job.uploads:
            with suppress(StoreError, OSError):  # otherwise deleted at the next start
                source = self._source(upload.document_id)
                if source is None or Path(source).name != upload.file:
                    self._kb.backend.files.delete(blob_name(upload.file))

    def _visible_to(self, job: IndexJob) -> KnowledgeBase:
        """The knowledge base as the owner of a job sees it."""
        return self._kb if job.labels is None else self._kb.restrict(job.labels)

    def _add(self, job: IndexJob) -> dict[str, Any]:
        kb = self._visible_to(job)
        old_sources = {
            upload.document_id: self._source(upload.document_id) for upload in job.uploads
        }
        blobs = self._kb.backend.files if job.uploads else None
        uploads = {blobs.source(blob_name(upload.file)): upload for upload in job.uploads if blobs}
        paths = {source: kb.resolve_source(source) for source in uploads}
        # An upload with the content of another upload has the same id.
        stored = {
            file_digest_of(document.content_hash): document
            for document in kb.documents()
            if not is_upload_name(Path(document.source).name)
        }
        originals = {
            source: self._find_original(paths[source], upload, stored)
            for source, upload in uploads.items()
        }
        documents = {
            source: Document(
                upload.document_id,
                path=paths[source],
                title=upload.title,
                metadata=upload.metadata,
                source="" if source == paths[source] else source,
            )
            for source, upload in uploads.items()
            if originals[source] is None
        }
        skipped: list[tuple[str, str]] = []
        while True:
            observer = _ProgressObserver(
                job, self._options.max_recording_seconds, lambda: self._shutdown
            )
            try:
                report = kb.add(documents.values(), on_progress=observer)
                break
            except _RecordingTooLongError:
                # Documents stored so far are recognised as unchanged in the next round.
                hours = self._options.max_recording_seconds / 3600
                skipped.append((observer.current, f"is longer than {hours:g} h: split the file"))
                del documents[observer.current]
        for document_id, source in old_sources.items():
            if source is not None and source != self._source(document_id):
                self._delete_upload(source)
        report.unchanged += filter(None, originals.values())
        report.skipped[:0] = skipped
        for pairs in (report.skipped, report.notes):
            # Clients know their own file names, not the paths of this machine.
            for row, (source, text) in enumerate(pairs):
                if source in uploads:
                    name = uploads[source].name
                    pairs[row] = name, text.replace(paths[source], name).replace(source, name)
        return AddReportShape.dump(report)

    def _remove(self, job: IndexJob) -> dict[str, Any]:
        kb = self._visible_to(job)
        heads = [kb.head(document_id) for document_id in job.document_ids]
        passages = kb.remove(job.document_ids)
        for head in heads:
            if head is not None:
                self._delete_upload(head.source)
        return RemovalShape(removed=job.document_ids, passages=passages).to_json()

    def _find_original(
        self, path: str, upload: Upload, originals: Mapping[str, StoredDocument]
    ) -> str | None:
        """The id of the document of a file in a folder with the content of an upload."""
        if upload.is_titled or upload.metadata.keys() - {"filename"}:  # they would be lost
            return None
        # InputError: the upload is gone with an earlier attempt, or the original was deleted.
        with suppress(InputError):
            digest = digest_file(path)
            document = originals.get(digest)
            if document is None:
                return None
            if digest_file(self._kb.resolve_source(document.source)) == digest:
                return document.id
        return None

    def _source(self, document_id: str) -> str | None:
        passage = self._kb.head(document_id)
        return None if passage is None else passage.source

    def _delete_upload(self, source: str) -> None:
        """Delete an uploaded file; files indexed in place are the user's and stay."""
        if is_upload_name(Path(source).name):
            self._kb.backend.files.delete(blob_name(Path(source).name))

    def _delete_orphans(self) -> None:
        """Delete uploaded files without a document or a job, or index those of a damaged job."""
        blobs = self._kb.backend.blobs
        if blobs is None:
            return
        # Another server may just be receiving the files of its next job.
        latest = math.inf if self._kb.directory is not None else time.time() - ORPHAN_SECONDS
        # Compared by name: the stored paths are outdated if the knowledge base was moved.
        names_in_use = {Path(document.source).name for document in self._kb.documents()}
        active = (job for job in self._jobs.all() if not job.is_disposable)
        names_in_use |= {upload.file for job in active for upload in job.uploads}
        names = {blob: Path(blob.name).name for blob in blobs.list(UPLOADS)}
        orphans = [
            blob.name
            for blob, name in names.items()
            if is_upload_name(name) and name not in names_in_use and blob.modified < latest
        ]
        damaged_jobs = self._jobs.find_damaged()
        if damaged_jobs and orphans:
            logger.warning(
                "the job %s is damaged: its uploads are indexed under new names", damaged_jobs[0]
            )
            self.submit([_unnamed_upload(blobs, blob) for blob in orphans], [])
        else:
            for blob_name in orphans:
                blobs.delete(blob_name)
        for id in damaged_jobs:
            self._jobs.delete_damaged(id)


def blob_name(file: str) -> str:
    """The name of an uploaded file among the files of a knowledge base."""
    return f"{UPLOADS}/{file}"


def _unnamed_upload(blobs: Blobs, blob: str) -> Upload:
    """An upload whose name, title and metadata are lost."""
    path = Path(blob)
    hasher, size = hashlib.sha256(), 0
    with blobs.open(blob) as file:
        while block := file.read(1 << 20):
            hasher.update(block)
            size += len(block)
    metadata: dict[str, Scalar] = {"filename": path.name}
    return Upload(
        f"upload-{hasher.hexdigest()[:32]}", path.name, path.name, path.stem, size, metadata
    )


def _is_large(job: IndexJob) -> bool:
    return sum(upload.size for upload in job.uploads) > LARGE_BYTES


class _ProgressObserver:
    """Progress callback: updates a job, and aborts at shutdown or at a limit."""

    def __init__(
        self, job: IndexJob, max_recording_seconds: float, is_shutdown: Callable[[], bool]
    ) -> None:
        self.current = ""
        self._job = job
        self._max_recording_seconds = max_recording_seconds
        self._is_shutdown = is_shutdown
        self._seconds_before = 0.0  # audio embedded before the current recording

    def __call__(self, progress: Progress) -> None:
        """Record the progress."""
        if self._is_shutdown():
            raise _ShutdownError
        if progress.current != self.current:
            self.current, self._seconds_before = progress.current, progress.audio_seconds
        # Windows overlap, so their sum exceeds the length of the recording by up to a factor of 2.
        if progress.audio_seconds - self._seconds_before > 2 * self._max_recording_seconds:
            raise _RecordingTooLongError
        self._job.progress = ProgressShape.dump(progress)
