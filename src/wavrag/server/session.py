"""The server as one user sees it: endpoints work with a `Session`, never with the whole state."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends, Request
from starlette.types import Scope as AsgiScope

from wavrag.access import ANONYMOUS, COLLECTION, DOCUMENTS, PRINCIPAL, Principal
from wavrag.server.collections import Collections
from wavrag.server.errors import RequestError
from wavrag.server.jobs import IndexJob, JobOptions, Upload
from wavrag.server.schemas import WatchRunShape, WatchShape
from wavrag.server.state import ServerState
from wavrag.shapes import SkippedShape, UnreadShape


class Session:
    """The operations of the server for the sender of a request.

    Documents, words, jobs and watched folders are those that its access labels may see; models,
    queues and limits are shared by all.

    Attributes:
        rag: the `WavRAG` of the visible documents.
        suggester: suggests questions about them.
        principal: the sender.
    """

    def __init__(self, server: ServerState, principal: Principal, scope: AsgiScope) -> None:
        view = server.view(None if principal.sees_all else principal.labels)
        self.rag, self.suggester = view.rag, view.suggester
        self.principal = principal
        self._server, self._scope = server, scope
        shared = server.shared
        self.options, self.metrics = shared.options, shared.metrics
        self.incoming_folder = server.incoming_folder
        self.blobs = server.blobs
        self.speech_engine, self.transcriber = shared.speech_engine, shared.transcriber
        self.scheduler, self.intake = shared.scheduler, shared.intake
        self.live_addresses = shared.live_addresses
        self.speech, self.embeddings = shared.speech, shared.embeddings
        self.answers = shared.answers
        self.audit, self.collection = shared.audit, server.name
        self.run_in_thread = shared.run_in_thread
        self.wait_for_job = server.wait_for_job
        self.modified = server.modified
        self.open_original = server.open_original
        self.open_recording = server.open_recording

    def jobs(self) -> list[IndexJob]:
        """The visible jobs, oldest first."""
        return [job for job in self._server.jobs.all() if self._sees(job)]

    def job(self, id: str) -> IndexJob | None:
        """A job; None if it is unknown or belongs to somebody else."""
        job = self._server.jobs.get(id)
        return job if job is not None and self._sees(job) else None

    def submit(self, uploads: list[Upload], document_ids: list[str], priority: int = 0) -> IndexJob:
        """Submit a job; see `JobService.submit`."""
        principal = self.principal
        labels = None if principal.sees_all else sorted(principal.labels)
        self.note_change(*(upload.document_id for upload in uploads), *document_ids)
        options = JobOptions(principal.id, principal.name, labels, priority)
        return self._server.worker.submit(uploads, document_ids, options)

    def retry(self, job: IndexJob) -> None:
        """Queue a failed job again."""
        self.note_change(*job.documents)
        self._server.worker.retry(job)

    def cancel(self, job: IndexJob) -> None:
        """End a job that has not ended."""
        self.note_change(*job.documents)
        self._server.worker.cancel(job)

    def discard(self, job: IndexJob) -> None:
        """Delete a failed job and its files."""
        self.note_change(*job.documents)
        self._server.worker.discard(job)

    def describe_watch(self) -> WatchShape:
        """The watched folders; none for a user who does not see all documents."""
        if not self.principal.sees_all:
            return WatchShape(folders=[], state="off", error=None, runs=[], skipped=[], unread=[])
        watcher = self._server.watcher
        return WatchShape(
            folders=list(watcher.folders),
            state=watcher.state,
            error=watcher.error,
            runs=[WatchRunShape.model_validate(run) for run in reversed(watcher.runs)],
            skipped=[
                SkippedShape(source=source, reason=reason)
                for source, reason in sorted(watcher.skipped.items())
            ],
            unread=[UnreadShape.model_validate(files) for files in watcher.unread],
        )

    def note_change(self, *document_ids: str) -> None:
        """Record the ids of documents for the audit log."""
        self._scope[DOCUMENTS] = (*self._scope.get(DOCUMENTS, ()), *document_ids)

    def _sees(self, job: IndexJob) -> bool:
        if self.principal.sees_all:
            return True
        # The names in a job are those of a time when its owner may have had more labels.
        labels = job.labels is not None and set(job.labels) <= self.principal.labels
        return labels and job.owner == self.principal.id


def find_sender(request: Request) -> tuple[Collections, Principal]:
    """The collections of the server, and the sender of a request."""
    collections: Collections = request.app.state.collections
    return collections, request.scope.get(PRINCIPAL, ANONYMOUS)


def check_unlimited(principal: Principal) -> None:
    """Check that a sender may do what concerns all collections.

    Raises:
        RequestError: it is limited to some.
    """
    if not principal.is_unlimited:
        raise RequestError(403, "this token is limited to some collections: use another")


def open_session(request: Request) -> Session:
    """The session of a request.

    Raises:
        RequestError: its collection does not exist, or is hidden from its sender.
    """
    collections, principal = find_sender(request)
    server = collections.get(request.scope.get(COLLECTION), principal)
    return Session(server, principal, request.scope)


State: TypeAlias = Annotated[Session, Depends(open_session)]
