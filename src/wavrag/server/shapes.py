"""The shapes of replies that only the server gives, in the OpenAPI description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from wavrag.shapes import AnswerShape, DocumentShape, PassageShape


class DocumentsShape(BaseModel):
    """Some of the documents; `total` counts all that pass the filters."""

    documents: list[DocumentShape]
    total: int


class DocumentTextShape(DocumentShape):
    """A document with its words; offsets of passages refer to `text`."""

    text: str
    contents: list[PassageShape]


class JobDocumentShape(BaseModel):
    """A document that a job is about."""

    id: str
    name: str | None
    title: str | None


class JobShape(BaseModel):
    """Work that was promised."""

    id: str
    kind: str
    state: str
    created: str
    ended: str | None
    documents: list[JobDocumentShape]
    progress: dict[str, Any]
    report: dict[str, Any] | None
    error: str | None


class JobsShape(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobShape]


class ModelShape(BaseModel):
    """A model that is served."""

    id: str
    object: str
    created: int
    owned_by: str
    root: str


class ModelsShape(BaseModel):
    """Models that are served."""

    object: str
    data: list[ModelShape]


class UsageShape(BaseModel):
    """Tokens; 0 where they are not counted."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


class EmbeddingShape(BaseModel):
    """A vector: numbers, or base64 of little-endian float32."""

    object: str
    index: int
    embedding: list[float] | str


class EmbeddingsShape(BaseModel):
    """Vectors in the order of the inputs."""

    object: str
    data: list[EmbeddingShape]
    model: str
    usage: UsageShape


class ReplyShape(BaseModel):
    """A message that was written."""

    role: str
    content: str
    refusal: str | None


class ChoiceShape(BaseModel):
    """The answer."""

    index: int
    message: ReplyShape
    finish_reason: str
    logprobs: None


class CompletionShape(BaseModel):
    """An answer in OpenAI's shape; `wavrag` has what it rests on."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChoiceShape]
    usage: UsageShape
    wavrag: AnswerShape


class ProblemDetail(BaseModel):
    """What is wrong, and what to do."""

    message: str
    type: str
    code: int
    param: str | None


class ProblemShape(BaseModel):
    """An error."""

    error: ProblemDetail


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Replies to requests that are refused, beside those that every request may have."""
    common = (400, 401, 403, 413, 421, 422)
    return {status: {"model": ProblemShape} for status in sorted({*common, *statuses})}
