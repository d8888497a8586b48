"""Permissions of a client of the MCP server."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from anyio import from_thread, to_thread

from wavrag import (
    Answer,
    Clip,
    Document,
    InputError,
    Passage,
    Progress,
    Query,
    Retrieval,
    Transcript,
    WavRAG,
    WavRAGError,
    find_files,
)
from wavrag.integrations.mcp.results import AddResult, describe_report
from wavrag.integrations.passages import decode_base64, load_question

T = TypeVar("T")
# Called with the progress so far, its total if that is known, and a message.
Report: TypeAlias = Callable[[float, float | None, str], Coroutine[Any, Any, None]]


class Access:
    """The documents and files of a client.

    Args:
        rag: the `WavRAG` of the visible documents.
        read_only: do not let the client add documents.
        roots: folders of files for the client to name; none by default, because hostile text
            could make a language model index any file.

    Raises:
        InputError: a root is not a folder.
    """

    def __init__(
        self, rag: WavRAG, *, read_only: bool = False, roots: Sequence[str | os.PathLike[str]] = ()
    ) -> None:
        self.rag = rag
        self.can_add = not read_only
        self.roots = tuple(Path(root).resolve() for root in roots)
        for root in self.roots:
            if not root.is_dir():
                raise InputError(f"{root} is not a folder: name folders with files for the clients")

    async def call(self, function: Callable[[], T]) -> T:
        """Call a blocking function on a thread."""
        return await to_thread.run_sync(function)

    async def search(self, query: Query, k: int) -> Retrieval:
        """Search; see `KnowledgeBase.retrieve`."""
        return await self.call(lambda: self.rag.kb.retrieve(query, k))

    async def transcript(self, document_id: str) -> Transcript:
        """The transcript of a recording; see `KnowledgeBase.transcript`."""
        return await self.call(lambda: self.rag.transcript(document_id))

    async def passages(self, document_id: str) -> list[Passage]:
        """The passages of a document in their order.

        Raises:
            InputError: the document is not in the knowledge base.
        """
        passages = await self.call(lambda: self.rag.kb.passages(document_id))
        if not passages:
            raise InputError(f"there is no document {document_id}: see list_documents")
        return passages

    async def ask(self, query: Query, report: Report) -> Answer:
        """Answer a question, and report the length of the text in characters as it grows."""
        length = 0
        async with await self.rag.astream(query) as stream:
            hits = (await stream.retrieval()).hits
            await report(length, None, f"{len(hits)} passages found")
            async for text in stream:
                length += len(text)
                await report(length, None, "writing the answer")
            return await stream.answer()

    async def add(
        self, text: str | None, title: str, path: str | None, report: Report
    ) -> AddResult:
        """Index a text, or a file or folder within the roots.

        Raises:
            InputError: there is neither or both, or the path is not within the roots.
        """
        if (text is None) == (path is None):
            raise InputError("give the text of a document, or the path of a file or folder")
        if path is not None:
            documents, skipped = self._find_files(self.check_path(path))
        else:
            assert text is not None
            # The same text again is the same document.
            digest = hashlib.sha256(f"{title}\0{text}".encode()).hexdigest()
            documents, skipped = [Document(f"text-{digest[:32]}", text=text, title=title)], {}

        def on_progress(progress: Progress) -> None:
            from_thread.run(report, progress.documents, progress.total, "indexing")

        result = await self.call(
            lambda: describe_report(self.rag.add(*documents, on_progress=on_progress))
        )
        return result.model_copy(update={"skipped": result.skipped | skipped})

    def _find_files(self, path: Path) -> tuple[list[Document], dict[str, str]]:
        scan = find_files([path])
        documents, skipped = [], dict(scan.skipped)
        for document in scan.documents:
            # A folder may have links to files elsewhere.
            if self._is_allowed(Path(document.path or "").resolve()):
                documents.append(document)
            else:
                skipped[document.id] = "it is a link to a file outside the folders of the server"
        return documents, skipped

    def check_path(self, path: str) -> Path:
        """The file or folder of a path, after all links; a relative path is one in the first root.

        Raises:
            InputError: there is none, or it is outside the roots.
        """
        if not self.roots:
            raise InputError(
                f"{path}: this server reads no files: send the content, or start the server with"
                " --root FOLDER"
            )
        try:
            resolved = (self.roots[0] / path).resolve()
        except (OSError, ValueError, RuntimeError):  # a loop of links, or a path with a NUL
            raise InputError("the path is not valid: check it") from None
        # First, so that the error does not tell which other files exist.
        if not self._is_allowed(resolved):
            folders = ", ".join(map(str, self.roots))
            raise InputError(f"{path} is outside the folders of this server: use {folders}")
        # Opening a pipe would block until another process writes to it.
        if not (resolved.is_file() or resolved.is_dir()):
            raise InputError(f"there is no file {path}: check the path")
        return resolved

    def _is_allowed(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self.roots)

    async def read_question(
        self, text: str | None, audio: str | None, audio_path: str | None, where: str | None
    ) -> Query:
        """The query for a text, a recording in base64 or a path, or both.

        Raises:
            InputError: there is no question, or the recording cannot be used.
        """
        if audio is not None and audio_path is not None:
            raise InputError("give audio or audio_path, and not both")
        file: io.BytesIO | Path | None = None
        if audio is not None:
            file = decode_base64(audio)
        elif audio_path is not None:
            file = self.check_path(audio_path)
        text = (text or "").strip() or None
        if text is None and file is None:
            raise InputError("there is no question: give text, audio, or both")
        clip = None if file is None else await self.call(lambda: load_question(file))
        return Query(text, clip, where)

    def load_audio(self, document_id: str, start: float, end: float) -> Clip:
        """Decode a span of a recording; blocking.

        Raises:
            InputError: the document is not in the knowledge base, or is a text.
            AudioError: the recording was deleted or cannot be read.
        """
        passage = self.rag.kb.head(document_id)
        if passage is None or passage.modality != "audio":
            raise InputError(f"there is no recording {document_id}: see list_documents")
        span = replace(passage, start=start, end=end, track=None, channel=None)
        return self.rag.kb.load_clip(span)

    def describe_error(self, error: BaseException | None) -> str | None:
        """The message of an error for the client; None for a defect of the program."""
        return str(error) if isinstance(error, WavRAGError) else None
