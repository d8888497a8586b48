"""Pydantic models of replies that only the server sends; `wavrag.shapes` has those of results."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from wavrag.server.jobs import JobKind, JobState
from wavrag.server.watcher import WatchState
from wavrag.shapes import (
    AddReportShape,
    AnswerShape,
    DocumentShape,
    PassageShape,
    RemovalShape,
    Shape,
    SkippedShape,
    UnreadShape,
)
from wavrag.types import ToolCall


class DeltaShape(BaseModel):
    """The next part of an answer's text."""

    text: str


class FileShape(DocumentShape):
    """A document with its file."""

    name: str  # name of the file; as the client named it if it was uploaded
    folder: str  # folder, archive or host of the file; empty for an upload or a text without file
    kind: str  # suffix in lower case without the dot; empty if there is none
    modified: str | None  # ISO 8601 time of the last change or of the upload; null without a file


class DocumentsShape(BaseModel):
    """A page of documents; `total` counts all that match the filters."""

    documents: list[FileShape]
    total: int
    folders: list[str]  # of all documents, whatever the filters; so are the kinds
    kinds: list[str]


class DocumentTextShape(FileShape):
    """A document with its text; character offsets of its passages refer to `text`."""

    text: str
    contents: list[PassageShape]


class JobDocumentShape(BaseModel):
    """A document of a job."""

    id: str
    name: str | None
    title: str | None


class JobShape(Shape):
    """A background job."""

    id: str
    kind: JobKind
    state: JobState
    created: str
    ended: str | None
    documents: list[JobDocumentShape]
    progress: dict[str, int | float]
    report: AddReportShape | RemovalShape | None
    error: str | None

    @classmethod
    def read(cls, source: Any) -> dict[str, Any]:
        """Values of the fields; documents come from uploads or from ids to remove."""
        documents = [
            {"id": upload.document_id, "name": upload.name, "title": upload.title}
            for upload in source.uploads
        ] or [{"id": id, "name": None, "title": None} for id in source.document_ids]
        return {**super().read(source), "documents": documents}


class JobsShape(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobShape]


class ModelShape(BaseModel):
    """An available model."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "wavrag"
    root: str
    modalities: list[str] | None = None
    dim: int | None = None
    voices: list[str] | None = None


class ModelsShape(BaseModel):
    """The available models."""

    object: Literal["list"] = "list"
    data: list[ModelShape]


class UsageShape(BaseModel):
    """Token counts; 0 if they are unknown."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class EmbeddingShape(BaseModel):
    """A vector: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingsShape(BaseModel):
    """Vectors in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[EmbeddingShape]
    model: str
    usage: UsageShape


class CalledFunction(BaseModel):
    """A function with its arguments as JSON."""

    name: str
    arguments: str


class ChatToolCall(BaseModel):
    """A call of a tool in the format of chat completions."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction

    @classmethod
    def of(cls, call: ToolCall) -> ChatToolCall:
        """The call of a generator."""
        function = CalledFunction(name=call.name, arguments=call.arguments)
        return cls(id=call.id, function=function)

    def to_call(self) -> ToolCall:
        """The call for the generator."""
        return ToolCall(self.id, self.function.name, self.function.arguments)


class ChatReplyShape(BaseModel):
    """The assistant's message."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    tool_calls: list[ChatToolCall] | None = None


class ChoiceShape(BaseModel):
    """The only choice of a completion."""

    index: int = 0
    message: ChatReplyShape
    finish_reason: Literal["stop", "tool_calls"] = "stop"
    logprobs: None = None


class CompletionShape(BaseModel):
    """An answer in OpenAI's format; `wavrag` holds its citations, hits and timings."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChoiceShape]
    usage: UsageShape
    wavrag: AnswerShape


class SpeakerShape(Shape):
    """A speaker of a recording; length and start of the speech in seconds."""

    name: str
    seconds: float
    passages: int
    start: float


class SpeakersShape(BaseModel):
    """The speakers of a recording, in the order of their first words."""

    speakers: list[SpeakerShape]


class VoicesShape(BaseModel):
    """Names of the speakers whose voice prints are kept."""

    voices: list[str]


class SuggestionsShape(BaseModel):
    """Questions that the knowledge base can answer."""

    questions: list[str]


class WatchRunShape(BaseModel):
    """Numbers of documents that a run of indexing changed; `ended` is an ISO 8601 time."""

    ended: str
    added: int
    updated: int
    moved: int
    removed: int


class WatchShape(BaseModel):
    """The watched folders, and what was found in them since the start of the server."""

    folders: list[str]
    state: WatchState
    error: str | None  # why the folders are no longer watched
    runs: list[WatchRunShape]  # newest first
    skipped: list[SkippedShape]
    unread: list[UnreadShape]
