"""One thread that changes the knowledge base, job after job."""

from __future__ import annotations

import logging
import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from wavrag.errors import WavRAGError
from wavrag.kb import KnowledgeBase, Progress
from wavrag.server.jobs import IndexJob, JobFolder, Upload, now
from wavrag.server.options import ServerOptions
from wavrag.shapes import AddReportShape, ProgressShape
from wavrag.types import Document

logger = logging.getLogger(__name__)

FIRST_PAUSE = 1.0  # seconds before a further attempt, doubled for each one after it
LONGEST_PAUSE = 300.0  # seconds


_GENERATED = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{2,5}")


def generated_name(suffix: str) -> str:
    """A name for an uploaded file that nobody can guess, and no other file has."""
    return f"{secrets.token_hex(16)}{suffix}"


def is_generated(name: str) -> bool:
    """Whether a name is one of those."""
    return _GENERATED.fullmatch(name) is not None


class _Stopping(Exception):  # noqa: N818 - a request, not an error
    """The server is ending: what is whole is kept, the rest is done after the next start."""


class _TooLong(Exception):  # noqa: N818 - handled where it is raised
    """A recording turned out to be longer than is allowed."""


class Writer:
    """Does jobs in the order in which they were promised.

    Args:
        kb: what is written to.
        jobs: the promises.
        uploads: folder of uploaded files.
        options: limits.
        on_end: told of each job that ended.
    """

    def __init__(
        self,
        kb: KnowledgeBase,
        jobs: JobFolder,
        uploads: Path,
        options: ServerOptions,
        on_end: Callable[[IndexJob], None] = lambda job: None,
    ) -> None:
        self._kb = kb
        self._jobs = jobs
        self._uploads = uploads
        self._options = options
        self._on_end = on_end
        self._changed = threading.Condition()
        self._queue: list[IndexJob] = [job for job in jobs.all() if not job.has_ended]
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="wavrag-write")

    def start(self) -> None:
        """Remove what nobody needs, and begin with what was promised before."""
        self._sweep()
        self._thread.start()

    def stop(self) -> None:
        """End the thread at the next document; jobs that are not done wait for the next start."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def is_working(self) -> bool:
        """Whether jobs that are promised get done."""
        return self._thread.is_alive()

    def promise(
        self,
        kind: Literal["add", "remove"],
        uploads: list[Upload] | None = None,
        document_ids: list[str] | None = None,
    ) -> IndexJob:
        """A new job; it survives a killed process from here on."""
        with self._changed:
            job = self._jobs.create(kind, uploads, document_ids)
            self._queue.append(job)
            self._changed.notify_all()
        return job

    def waiting(self) -> int:
        """Jobs that have not ended."""
        return len(self._queue)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping)
                if self._stopping:
                    return
                job = self._queue[0]
            try:
                self._do(job)
            except Exception:
                logger.exception("job %s", job.id)
                self._end(job, "failed", "the server failed at it: its log says why")
            if not job.has_ended:
                pause = min(FIRST_PAUSE * 2.0 ** (job.attempts - 1), LONGEST_PAUSE)
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, pause)

    def _do(self, job: IndexJob) -> None:
        """One attempt at a job."""
        if job.attempts >= self._options.attempts:
            tries = job.attempts
            reason = job.error or "the server was ended by it, or while it ran"
            self._end(job, "failed", f"given up after {tries} attempts: {reason}")
            return
        job.attempts += 1
        job.state = "running"
        self._jobs.save(job)
        try:
            report = self._add(job) if job.kind == "add" else self._remove(job)
        except _Stopping:
            job.attempts -= 1
            job.state = "queued"
            self._jobs.save(job)
        except WavRAGError as error:
            # Neither its documents nor anything else that was asked is at fault.
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
                # It was skipped, or its content is there already.
                (self._uploads / upload.file).unlink(missing_ok=True)
        with self._changed:
            job.state, job.error, job.ended = state, error, now()
            self._jobs.save(job)
            self._queue.remove(job)
            self._changed.notify_all()
        self._on_end(job)

    def _add(self, job: IndexJob) -> dict[str, Any]:
        before = {upload.document_id: self._source(upload.document_id) for upload in job.uploads}
        documents = {
            str(self._uploads / upload.file): Document(
                id=upload.document_id,
                path=str(self._uploads / upload.file),
                title=upload.title,
                metadata=upload.metadata,
            )
            for upload in job.uploads
        }
        skipped: list[tuple[str, str]] = []
        while True:
            watch = _Watch(job, self._options.max_recording_seconds, lambda: self._stopping)
            try:
                report = self._kb.add(documents.values(), on_progress=watch)
                break
            except _TooLong:
                hours = self._options.max_recording_seconds / 3600
                skipped.append((watch.current, f"is longer than {hours:g} h: cut it"))
                del documents[watch.current]
        for document_id, source in before.items():
            if source is not None and source != self._source(document_id):
                self._discard(source)
        names = {str(self._uploads / upload.file): upload.name for upload in job.uploads}
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
                self._discard(source)
        return {"removed": job.document_ids, "passages": passages}

    def _source(self, document_id: str) -> str | None:
        head = self._kb.head(document_id)
        return None if head is None else head.source

    def _discard(self, source: str) -> None:
        """Remove a file if it was uploaded; files that were indexed where they lie stay there."""
        if is_generated(Path(source).name):
            (self._uploads / Path(source).name).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove uploaded files that no document and no job names."""
        # By name, for the folder may have been moved with all that is in it.
        needed = {Path(document.source).name for document in self._kb.documents()}
        needed |= {upload.file for job in self._queue for upload in job.uploads}
        for path in self._uploads.iterdir():
            if is_generated(path.name) and path.name not in needed:
                path.unlink()


class _Watch:
    """Follows a run of adding, and ends it where it must not go on."""

    def __init__(self, job: IndexJob, max_seconds: float, stopping: Callable[[], bool]) -> None:
        self.current = ""
        self._job = job
        self._max_seconds = max_seconds
        self._stopping = stopping
        self._before = 0.0  # seconds of the recordings before the current one

    def __call__(self, progress: Progress) -> None:
        """Note how far it is."""
        if self._stopping():
            raise _Stopping
        if progress.current != self.current:
            self.current, self._before = progress.current, progress.audio_seconds
        if progress.audio_seconds - self._before > 2 * self._max_seconds:
            # Windows overlap, so that their sum is more than the recording's length.
            raise _TooLong
        self._job.progress = ProgressShape.dump(progress)
