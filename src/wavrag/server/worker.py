"""The worker thread of background jobs, one after the other.

A single writer keeps the order of uploads and removals, and leaves the cores to searches.
"""

from __future__ import annotations

import filecmp
import logging
import os
import re
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from prometheus_client import Counter

from wavrag.errors import WavRAGError
from wavrag.kb import KnowledgeBase, Progress
from wavrag.server.jobs import IndexJob, JobFolder, Upload, now
from wavrag.server.limits import MAX_JOB_ATTEMPTS
from wavrag.server.options import ServerOptions
from wavrag.shapes import AddReportShape, ProgressShape, RemovalShape
from wavrag.types import Document

logger = logging.getLogger(__name__)

FIRST_RETRY_DELAY = 1.0  # seconds, doubled after each attempt
MAX_RETRY_DELAY = 300.0  # seconds


_GENERATED_NAME = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{2,5}")


def generate_name(suffix: str) -> str:
    """A unique, unguessable name for an uploaded file."""
    return f"{secrets.token_hex(16)}{suffix}"


def is_generated_name(name: str) -> bool:
    """True for a name from `generate_name`."""
    return _GENERATED_NAME.fullmatch(name) is not None


class _ShutdownError(Exception):
    """Ends a job at shutdown; stored documents stay, the others follow after the next start."""


class _RecordingTooLongError(Exception):
    """A recording is longer than the limit, although its header says otherwise."""


class JobWorker:
    """Executes jobs in the order of submission."""

    def __init__(
        self,
        kb: KnowledgeBase,
        jobs: JobFolder,
        uploads_folder: Path,
        options: ServerOptions,
        ended_jobs: Counter,
    ) -> None:
        self._kb = kb
        self._jobs = jobs
        self._uploads_folder = uploads_folder
        self._options = options
        self._ended_jobs = ended_jobs
        self._condition = threading.Condition()
        self._queue: list[IndexJob] = [job for job in jobs.all() if not job.has_ended]
        self._shutdown = False
        self._thread = threading.Thread(target=self._run, name="wavrag-worker")

    def start(self) -> None:
        """Delete orphaned uploads and start with the unfinished jobs."""
        self._delete_orphans()
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current document; unfinished jobs resume at the next start."""
        with self._condition:
            self._shutdown = True
            self._condition.notify_all()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """True while jobs are executed."""
        return self._thread.is_alive()

    def submit(self, uploads: list[Upload], document_ids: list[str]) -> IndexJob:
        """Submit a job, either to add uploads or to remove documents.

        It is on disk and survives a killed process when the call returns.
        """
        with self._condition:
            job = self._jobs.create(uploads, document_ids)
            self._queue.append(job)
            self._condition.notify_all()
        return job

    def count_pending(self) -> int:
        """Number of unfinished jobs."""
        return len(self._queue)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._queue or self._shutdown)
                if self._shutdown:
                    return
                job = self._queue[0]
            try:
                self._attempt(job)
            except Exception:
                logger.exception("job %s", job.id)
                self._end(job, "failed", "internal server error: see the log of the server")
            if not job.has_ended:
                delay = min(FIRST_RETRY_DELAY * 2.0 ** (job.attempts - 1), MAX_RETRY_DELAY)
                with self._condition:
                    self._condition.wait_for(lambda: self._shutdown, delay)

    def _attempt(self, job: IndexJob) -> None:
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
        except WavRAGError as error:
            # Bad documents are skipped, so this is the disk or the embedder: try again later.
            logger.warning("job %s, attempt %d: %s", job.id, job.attempts, error)
            job.state, job.error = "queued", str(error)
            self._jobs.save(job)
        else:
            job.report = report
            self._end(job, "done", None)

    def _end(self, job: IndexJob, state: Literal["done", "failed"], error: str | None) -> None:
        for upload in job.uploads:
            source = self._source(upload.document_id)
            if source is None or Path(source).name != upload.file:
                # The file was skipped, or a document with the same content exists.
                (self._uploads_folder / upload.file).unlink(missing_ok=True)
        with self._condition:
            job.state, job.error, job.ended = state, error, now()
            self._jobs.save(job)
            self._queue.remove(job)
            self._condition.notify_all()
        self._ended_jobs.labels(job.kind, job.state).inc()

    def _add(self, job: IndexJob) -> dict[str, Any]:
        old_sources = {
            upload.document_id: self._source(upload.document_id) for upload in job.uploads
        }
        uploads = {str(self._uploads_folder / upload.file): upload for upload in job.uploads}
        originals = {path: self._find_original(path, upload) for path, upload in uploads.items()}
        documents = {
            path: Document(
                upload.document_id, path=path, title=upload.title, metadata=upload.metadata
            )
            for path, upload in uploads.items()
            if originals[path] is None
        }
        skipped: list[tuple[str, str]] = []
        while True:
            observer = _ProgressObserver(
                job, self._options.max_recording_seconds, lambda: self._shutdown
            )
            try:
                report = self._kb.add(documents.values(), on_progress=observer)
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
        names = {path: upload.name for path, upload in uploads.items()}
        report.skipped[:0] = skipped
        for pairs in (report.skipped, report.notes):
            # Clients know their own file names, not the paths of this machine.
            pairs[:] = [
                (names.get(path, path), text.replace(path, names.get(path, path)))
                for path, text in pairs
            ]
        return AddReportShape.dump(report)

    def _remove(self, job: IndexJob) -> dict[str, Any]:
        sources = [self._source(document_id) for document_id in job.document_ids]
        passages = self._kb.remove(job.document_ids)
        for source in sources:
            if source is not None:
                self._delete_upload(source)
        return RemovalShape(removed=job.document_ids, passages=passages).to_json()

    def _find_original(self, path: str, upload: Upload) -> str | None:
        """The id of the document of a file in a folder with the content of an upload."""
        if upload.is_titled or upload.metadata.keys() - {"filename"}:  # they would be lost
            return None
        for document in self._kb.documents():
            source = self._kb.resolve_source(document.source)
            if is_generated_name(Path(source).name):
                continue  # an upload with this content has the same id
            # OSError: the file, or that of an earlier attempt, is gone.
            with suppress(OSError, ValueError):
                if os.path.getsize(source) == upload.size and filecmp.cmp(path, source, False):
                    return document.id
        return None

    def _source(self, document_id: str) -> str | None:
        passage = self._kb.head(document_id)
        return None if passage is None else passage.source

    def _delete_upload(self, source: str) -> None:
        """Delete an uploaded file; files indexed in place are the user's and stay."""
        if is_generated_name(Path(source).name):
            (self._uploads_folder / Path(source).name).unlink(missing_ok=True)

    def _delete_orphans(self) -> None:
        """Delete uploaded files without a document or a job."""
        # Compared by name: the stored paths are outdated if the knowledge base was moved.
        names_in_use = {Path(document.source).name for document in self._kb.documents()}
        names_in_use |= {upload.file for job in self._queue for upload in job.uploads}
        for path in self._uploads_folder.iterdir():
            if is_generated_name(path.name) and path.name not in names_in_use:
                path.unlink()


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
