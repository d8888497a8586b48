"""The tools and resources of the MCP server; their docstrings are shown to models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resources import ResourceSecurity
from mcp_types import ToolAnnotations
from pydantic import Field
from starlette.requests import Request

from wavrag import InputError
from wavrag.audio import wav_bytes
from wavrag.integrations.mcp.access import Access
from wavrag.integrations.mcp.results import (
    AUDIO_URI,
    DOCUMENT_URI,
    AddResult,
    AnswerResult,
    DocumentListResult,
    DocumentTextResult,
    PassageResult,
    SearchResult,
    TranscriptResult,
    describe_answer,
    describe_document,
    describe_search,
    describe_transcript,
)
from wavrag.integrations.mcp.server import AccessServer, current_access

MAX_AUDIO_SECONDS = 120.0  # of one resource; 3.8 MB of 16-bit samples at 16 kHz
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True)

Text: TypeAlias = Annotated[str | None, Field(max_length=20_000, description="as text")]
Audio: TypeAlias = Annotated[
    str | None, Field(description="as a recording: an audio file of any format in base64")
]
AudioPath: TypeAlias = Annotated[
    str | None, Field(description="as a recording: path of a file in the server's folders")
]
Where: TypeAlias = Annotated[
    str | None,
    Field(max_length=2_000, description="filter, such as: year >= 2020 and speaker = 'Ada'"),
]
DocumentId: TypeAlias = Annotated[str, Field(description="document_id of a result")]
Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]


async def search(
    query: Text = None,
    audio: Audio = None,
    audio_path: AudioPath = None,
    k: Annotated[int, Field(ge=1, le=100, description="maximum number of hits")] = 8,
    where: Where = None,
) -> SearchResult:
    """Find passages of recordings and documents for a typed or spoken query."""
    access = current_access()
    question = await access.read_question(query, audio, audio_path, where)
    return describe_search(await access.search(question, k))


async def ask(
    context: Context[Any, Any],
    question: Text = None,
    audio: Audio = None,
    audio_path: AudioPath = None,
    where: Where = None,
) -> AnswerResult:
    """Answer a typed or spoken question from recordings and documents, with citations."""
    access = current_access()
    query = await access.read_question(question, audio, audio_path, where)
    return describe_answer(await access.ask(query, context.report_progress))


async def list_documents(
    title: Annotated[str, Field(description="only documents with this in the title")] = "",
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
    offset: Annotated[int, Field(ge=0)] = 0,
) -> DocumentListResult:
    """List recordings and documents in the order of their ids."""
    access = current_access()
    documents = [
        document
        for document in await access.call(access.rag.documents)
        if title.casefold() in document.title.casefold()
    ]
    end = offset + limit
    return DocumentListResult(
        documents=[describe_document(document) for document in documents[offset:end]],
        total=len(documents),
        next_offset=end if end < len(documents) else None,
    )


async def read_document(
    document_id: DocumentId,
    first_passage: Annotated[int, Field(ge=0, description="next_passage of a result")] = 0,
    limit: Annotated[int, Field(ge=1, le=200, description="number of passages")] = 20,
) -> DocumentTextResult:
    """Read the passages of a document in their order."""
    access = current_access()
    passages = await access.passages(document_id)
    end = first_passage + limit
    return DocumentTextResult(
        document_id=document_id,
        title=passages[0].title,
        source=passages[0].source,
        passages=[PassageResult.of(passage) for passage in passages[first_passage:end]],
        total=len(passages),
        next_passage=end if end < len(passages) else None,
    )


async def transcript(
    document_id: DocumentId, start: Seconds = 0.0, end: Seconds = 600.0
) -> TranscriptResult:
    """Read the words of a recording from `start` to `end`, in seconds, with their speakers."""
    access = current_access()
    transcript = await access.transcript(document_id)
    return describe_transcript(transcript, document_id, start, end)


async def add(
    context: Context[Any, Any],
    text: Annotated[str | None, Field(description="text of a document")] = None,
    title: Annotated[str, Field(max_length=300, description="title of the text")] = "",
    path: Annotated[
        str | None, Field(description="path of a file or folder in the server's folders")
    ] = None,
) -> AddResult:
    """Add a text, or a file or folder, to the documents; unchanged ones are skipped."""
    access = current_access()
    if not access.can_add:
        raise InputError("this connection only reads: it cannot add documents")
    return await access.add(text, title, path, context.report_progress)


async def document_resource(document_id: str) -> str:
    """Text of a document."""
    access = current_access()
    passages = await access.passages(document_id)
    if passages[0].modality == "audio":
        transcript = await access.transcript(document_id)
        return transcript.format("md")
    return "\n\n".join(passage.text or "" for passage in passages)


async def audio_resource(document_id: str, start: float, end: float) -> bytes:
    """Span of a recording as a WAV file."""
    if not 0 <= start < end <= start + MAX_AUDIO_SECONDS:
        raise InputError(f"a span lasts from 0 to {MAX_AUDIO_SECONDS:g} s: change its end")
    access = current_access()
    return await access.call(lambda: wav_bytes(access.load_audio(document_id, start, end)))


def create_mcp_server(access: Access | Callable[[Request | None], Access]) -> AccessServer:
    """Create a server, whose `run` serves standard input or HTTP.

        server = create_mcp_server(Access(WavRAG.open("my-kb"), read_only=True))
        server.run("stdio")

    Args:
        access: the access of every client, or a function from a request to it (None for
            standard input).
    """
    server = AccessServer((lambda request: access) if isinstance(access, Access) else access)
    for tool in (search, ask, list_documents, read_document, transcript):
        server.add_tool(tool, annotations=_READS)
    server.add_tool(add, annotations=_ADDS)
    # Ids may be paths; they are looked up in the knowledge base, never opened.
    security = ResourceSecurity(exempt_params={"document_id"})
    server.resource(
        DOCUMENT_URI, name="document", mime_type="text/plain", security=security,
        description="Text of a document, or transcript of a recording",
    )(document_resource)  # fmt: skip
    server.resource(
        AUDIO_URI, name="audio", mime_type="audio/wav", security=security,
        description=f"Span of a recording, at most {MAX_AUDIO_SECONDS:g} s; times in seconds",
    )(audio_resource)  # fmt: skip
    return server
