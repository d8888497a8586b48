"""`/mcp`: the Model Context Protocol, within the scopes and access labels of the server."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from anyio import to_thread
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from wavrag import audio
from wavrag.answer import RetrievalResult
from wavrag.errors import AudioError, InputError, WavRAGError
from wavrag.generate import GenerateOptions
from wavrag.integrations.mcp import Access, AddResult, Report, create_mcp_server
from wavrag.kb import Retrieval, Transcript
from wavrag.server import limits
from wavrag.server.answer_events import stream_answer
from wavrag.server.documents import accept_upload
from wavrag.server.errors import RequestError, public_message
from wavrag.server.jobs import IndexJob
from wavrag.server.multipart import Form, ReceivedFile, check_disk
from wavrag.server.session import Session, open_session
from wavrag.types import Answer, Clip, Query

T = TypeVar("T")
ACCESS = "wavrag.mcp_access"  # key of the ASGI scope of a request
JOB_STEP = 0.5  # seconds between reports on a job
MAX_JOB_SECONDS = 300.0  # until the reply, whether or not the job has ended


class McpEndpoint:
    """The endpoint; it serves requests while `run` is entered."""

    def __init__(self) -> None:
        self._server = create_mcp_server(_read_access)
        self.routes = [
            Route(path, self, name="mcp", include_in_schema=False) for path in ("/mcp", "/v1/mcp")
        ]

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Serve requests during the block."""
        # It has a new session manager each time, because one can run only once.
        self._server.streamable_http_app(
            stateless_http=True,
            max_request_body_size=limits.MAX_REQUEST_BYTES,
            # `SecurityMiddleware` has checked Host and Origin.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        async with self._server.session_manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["method"] != "POST":
            # Without sessions there is no stream to open (GET) and nothing to end (DELETE).
            await Response(status_code=405, headers={"allow": "POST"})(scope, receive, send)
            return
        # Here, where a collection that does not exist is an error with a status of its own.
        scope[ACCESS] = SessionAccess(open_session(Request(scope)))
        await self._server.session_manager.handle_request(scope, receive, send)


def _read_access(request: Request | None) -> Access:
    assert request is not None
    access: Access = request.scope[ACCESS]
    return access


class SessionAccess(Access):
    """Permissions of a sender: no files of the server, changes with `write` only."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.rag, read_only=not session.principal.may("write"))
        self._session = session

    def check_path(self, path: str) -> Path:
        """Refuse any path: files of the server are none of its clients'."""
        raise InputError(
            f"{path}: this server reads no files: send the content, or upload it to /v1/documents"
        )

    async def call(self, function: Callable[[], T]) -> T:
        """Call a blocking function in the queue of short work."""
        return await self._session.run_in_thread("get", function)

    async def search(self, query: Query, k: int) -> Retrieval:
        """Search in the queue of short work."""
        return await self._session.run_in_thread("search", self.rag.kb.retrieve, query, k)

    async def transcript(self, document_id: str) -> Transcript:
        """Read a transcript in the queue of speech."""
        try:
            return await self._session.run_in_thread("transcribe", self.rag.transcript, document_id)
        except AudioError as error:
            raise _missing_recording(document_id) from error

    async def ask(self, query: Query, report: Report) -> Answer:
        """Answer in the queue of answers, within the time limit."""
        length = 0
        async with aclosing(stream_answer(self._session, query, GenerateOptions(), [])) as events:
            async for event in events:
                match event:
                    case Answer():
                        return event
                    case RetrievalResult():
                        await report(0, None, f"{len(event.hits)} passages found")
                    case str():
                        length += len(event)
                        await report(length, None, "writing the answer")
        raise AssertionError("an answer ends its events")

    async def add(
        self, text: str | None, title: str, path: str | None, report: Report
    ) -> AddResult:
        """Add a text like an upload, and wait for its job."""
        if path is not None:
            self.check_path(path)
        if not text:
            raise InputError("give the text of a document; upload files to /v1/documents")
        session = self._session
        job = await session.run_in_thread("take", partial(self._submit, text, title))
        await to_thread.run_sync(
            partial(
                session.audit.record, session.principal.name, "add_by_mcp",
                collection=session.collection,
                documents=job.documents, result=202,
            )
        )  # fmt: skip
        seconds = 0.0
        while not job.has_ended and seconds < MAX_JOB_SECONDS:
            job = await session.wait_for_job(job, JOB_STEP)
            seconds += JOB_STEP
            await report(seconds, None, f"indexing: {job.state}")
        if job.report is None:
            reason = job.error or "it goes on: see list_documents later"
            raise InputError(f"the text is not indexed yet: {reason}")
        return AddResult(
            added=job.report["added"],
            updated=job.report["updated"],
            unchanged=job.report["unchanged"],
            skipped={entry["source"]: entry["reason"] for entry in job.report["skipped"]},
        )

    def _submit(self, text: str, title: str) -> IndexJob:
        data = text.encode()
        folder = self._session.incoming_folder
        check_disk(folder, len(data))
        path = folder / secrets.token_hex(16)
        try:
            path.write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            # A name that an upload may have, of a title that may hold anything.
            stem = re.sub(r"[^\w ,.()'-]", "-", title[:60]).strip(" .") or "text"
            file = ReceivedFile(path, f"{stem}.txt", len(data), digest)
            return accept_upload(self._session, Form([file], {"title": title}))
        finally:
            path.unlink(missing_ok=True)

    def load_audio(self, document_id: str, start: float, end: float) -> Clip:
        """Decode a span of a recording whose file has not changed since it was indexed."""
        passage = self.rag.kb.head(document_id)
        original = None if passage is None else self._session.open_recording(passage)
        if original is None:
            raise _missing_recording(document_id)
        with original:
            try:
                return audio.load(original.content, start=start, end=end)
            except AudioError as error:
                message = str(error).replace(str(original.path), document_id)
                raise AudioError(message) from error

    def describe_error(self, error: BaseException | None) -> str | None:
        """The message of an error, without paths of the server's folders."""
        return public_message(error) if isinstance(error, WavRAGError | RequestError) else None


def _missing_recording(document_id: str) -> InputError:
    return InputError(
        f"there is no recording of {document_id}: it is unknown, a text, or its file is missing"
    )
