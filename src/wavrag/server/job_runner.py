"""Attempts at jobs: indexes uploads or removes documents, and records the outcome."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from prometheus_client import Counter

from wavrag.access import AuditLog
from wavrag.disk import is_disk_full
from wavrag.errors import InputError, StoreError, WavRAGError
from wavrag.kb import (
    UPLOADS,
    KnowledgeBase,
    KnowledgeBaseView,
    Progress,
    digest_file,
    file_digest_of,
    is_upload_name,
)
from wavrag.server.errors import public_message
from wavrag.server.jobs import IndexJob, JobBook, LostJobError, Upload, now
from wavrag.server.limits import MAX_JOB_ATTEMPTS, ORPHAN_SECONDS
from wavrag.server.options import ServerOptions
from wavrag.shapes import AddReportShape, ProgressShape, RemovalShape
from wavrag.store import Blobs, StoredDocument
from wavrag.types import Document, Scalar

logger = logging.getLogger(__name__)

FIRST_RETRY_DELAY = 1.0  # seconds, doubled after each attempt
MAX_RETRY_DELAY = 300.0  # seconds
FULL_DISK_DELAY = 5.0  # seconds; an attempt on a full disk fails at once, so it costs little
FULL_DISK = "the disk is full: free space, and the job continues by itself"

RunnerCondition: TypeAlias = Literal["running", "waiting for disk space", "retrying"]


class _ShutdownError(Exception):
    """Ends a job at shutdown; stored documents stay, the others follow in the next attempt."""


class _CancelledError(Exception):
    """Ends a cancelled job; stored documents stay."""


class _RecordingTooLongError(Exception):
    """A recording is longer than the limit, although its header says otherwise."""


class JobRunner:
    """Executes the jobs of a knowledge base, on any number of threads.

    Attributes:
        condition: outcome of the last attempt, for `/healthz`.

    Args:
        kb: the knowledge base.
        jobs: its jobs.
        options: limits.
        ended_jobs: counts jobs by kind and outcome.
        audit: receives the outcomes.
        collection: name of the collection in the audit log.
    """

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
        self.condition: RunnerCondition = "running"
        self._kb = kb
        self._jobs = jobs
        self._options = options
        self._ended_jobs = ended_jobs
        self._audit = audit or AuditLog(None)
        self._collection = collection

    def attempt(self, job: IndexJob, is_stopping: Callable[[], bool]) -> float | None:
        """Try to execute a job.

        Args:
            job: the job; its state changes.
            is_stopping: True if the process stops, so that the job is left to a later attempt.

        Returns:
            Seconds until the next attempt; None if the job has ended.
        """
        # No exception may get out: uploads were promised to be indexed.
        try:
            delay = self._execute(job, is_stopping)
            self.condition = "running"
            return delay
        except LostJobError:
            logger.warning("job %s is executed by another worker: this one was too slow", job.id)
            return None
        except WavRAGError as error:
            logger.warning("job %s, attempt %d: %s", job.id, job.attempts, error)
            return self._postpone(job, error)
        except Exception as error:
            logger.exception("job %s", job.id)
            return self._postpone(job, error)

    def cancel(self, job: IndexJob) -> None:
        """End a job that nobody is executing.

        Raises:
            StoreError: its state cannot be saved.
            LostJobError: it has just started, or has ended.
        """
        self._end(job, "cancelled", None)

    def _execute(self, job: IndexJob, is_stopping: Callable[[], bool]) -> float | None:
        """Execute a job.

        Raises:
            Exception: the job could not be executed, or its new state could not be saved. It is
                safe to try again, because documents that are stored already are left as they are.
        """
        if job.is_cancelled:
            self.cancel(job)
            return None
        if job.attempts >= MAX_JOB_ATTEMPTS:
            reason = job.error or "the process ended during the job"
            self._end(job, "failed", f"gave up after {job.attempts} attempts: {reason}")
            return None
        # Counted before the attempt, so that a job that kills the process is not tried forever.
        job.attempts += 1
        job.runs += 1
        job.state = "running"
        self._jobs.save(job)
        try:
            report = self._add(job, is_stopping) if job.kind == "add" else self._remove(job)
        except _ShutdownError:
            job.attempts -= 1
            job.state = "queued"
            self._jobs.save(job)
            return 0.0
        except _CancelledError:
            self.cancel(job)
            return None
        job.report = report
        self._end(job, "done", None)
        return None

    def _postpone(self, job: IndexJob, error: Exception) -> float | None:
        """Note the failure of an attempt; return the seconds until the next one."""
        delay = min(FIRST_RETRY_DELAY * 2.0 ** max(0, job.attempts - 1), MAX_RETRY_DELAY)
        job.state, job.report = "queued", None
        if is_disk_full(error):
            # Not counted: space can return after days.
            job.attempts = max(0, job.attempts - 1)
            self.condition, job.error = "waiting for disk space", FULL_DISK
            delay = FULL_DISK_DELAY
        elif isinstance(error, WavRAGError):
            # Bad documents are skipped, so this is the disk or the embedder: try again later.
            self.condition, job.error = "retrying", public_message(error)
        else:
            with suppress(StoreError, LostJobError):  # if this fails, the job is tried again
                # A defect of the program would happen again.
                self._end(job, "failed", "internal server error: see the log of the server")
                return None
            self.condition, delay = "retrying", FIRST_RETRY_DELAY
        # Otherwise the state is in memory only, and a new process tries the job once more.
        with suppress(StoreError, LostJobError):
            self._jobs.save(job)
        return delay

    def _end(
        self, job: IndexJob, state: Literal["done", "failed", "cancelled"], error: str | None
    ) -> None:
        outcome = replace(job, state=state, error=error, ended=now())
        self._jobs.save(outcome)
        if state != "failed":
            # Only once that is on disk. A failed job keeps its files, and can be repeated.
            self.delete_unused(job)
        job.state, job.error, job.ended = outcome.state, outcome.error, outcome.ended
        self._ended_jobs.labels(job.kind, job.state).inc()
        with suppress(StoreError):  # the disk is full; the job has ended nonetheless
            self._audit.record(
                job.user,
                f"{job.kind}_job",
                collection=self._collection,
                documents=job.documents,
                result=job.state,
            )

    def delete_unused(self, job: IndexJob) -> None:
        """Delete the files of a job that were skipped, or equal those of other documents."""
        for upload in job.uploads:
            with suppress(StoreError, OSError):  # otherwise deleted at the next start
                source = self._source(upload.document_id)
                if source is None or Path(source).name != upload.file:
                    self._kb.backend.files.delete(blob_name(upload.file))

    def _visible_to(self, job: IndexJob) -> KnowledgeBase:
        """The knowledge base as the owner of a job sees it."""
        return self._kb if job.labels is None else KnowledgeBaseView(self._kb, job.labels)

    def _add(self, job: IndexJob, is_stopping: Callable[[], bool]) -> dict[str, Any]:
        kb = self._visible_to(job)
        old_sources = {
            upload.document_id: self._source(upload.document_id) for upload in job.uploads
        }
        blobs = self._kb.backend.files
        uploads = {blobs.source(blob_name(upload.file)): upload for upload in job.uploads}
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
                job, self._jobs, self._options.max_recording_seconds, is_stopping
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

    def delete_orphans(self, submit: Callable[[list[Upload], list[str]], object]) -> None:
        """Delete uploaded files without a document or a job.

        Args:
            submit: submits a job with the uploads of a damaged one.
        """
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
            submit([_unnamed_upload(blobs, blob) for blob in orphans], [])
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


class _ProgressObserver:
    """Progress callback: updates a job, and aborts at shutdown, cancellation or a limit."""

    def __init__(
        self,
        job: IndexJob,
        jobs: JobBook,
        max_recording_seconds: float,
        is_stopping: Callable[[], bool],
    ) -> None:
        self.current = ""
        self._job, self._jobs = job, jobs
        self._max_recording_seconds = max_recording_seconds
        self._is_stopping = is_stopping
        self._seconds_before = 0.0  # audio embedded before the current recording

    def __call__(self, progress: Progress) -> None:
        """Record the progress."""
        if self._is_stopping():
            raise _ShutdownError
        self._job.progress = ProgressShape.dump(progress)
        self._jobs.share(self._job)
        if self._job.is_cancelled:
            raise _CancelledError
        if progress.current != self.current:
            self.current, self._seconds_before = progress.current, progress.audio_seconds
        # Windows overlap, so their sum exceeds the length of the recording by up to a factor of 2.
        if progress.audio_seconds - self._seconds_before > 2 * self._max_recording_seconds:
            raise _RecordingTooLongError
