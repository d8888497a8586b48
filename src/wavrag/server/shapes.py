"""The shapes of replies in the OpenAPI description; `wavrag.jsonable` makes them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

Scalar = str | int | float | bool


class PassageShape(BaseModel):
    """A passage: seconds for recordings, offsets in characters for texts."""

    id: str
    document_id: str
    modality: str
    source: str
    title: str
    location: str
    text: str | None
    metadata: dict[str, Scalar]
    start: float | None = None
    end: float | None = None
    char_start: int | None = None
    char_end: int | None = None
    section: str | None = None
    page: int | None = None


class HitShape(PassageShape):
    """A passage that was found."""

    rank: int
    score: float
    legs: dict[str, float]


class CitationShape(PassageShape):
    """A passage that an answer cites under a number."""

    number: int
    quote: str


class SearchShape(BaseModel):
    """What a search found."""

    query: str | None
    hits: list[HitShape]
    timings_ms: dict[str, float]


class GivenHitShape(HitShape):
    """A hit, and whether the generator got its words or its sound."""

    given: str


class AbstainedShape(BaseModel):
    """Why no answer was written."""

    reason: str
    detail: str


class SupportShape(BaseModel):
    """Whether what a sentence of an answer cites says it."""

    start: int
    end: int
    text: str
    cited: list[int]
    checkable: bool
    supported: bool


class AnswerShape(BaseModel):
    """An answer with all that it rests on."""

    question: str | None
    searched: str | None
    answer: str
    found: bool
    abstained: AbstainedShape | None
    withheld: str
    citations: list[CitationShape]
    support: list[SupportShape]
    hits: list[GivenHitShape]
    generator: str
    paths: list[dict[str, Any]]
    chosen: int | None
    chosen_by: str | None
    saved: int
    invented_citations: int
    timings_ms: dict[str, float]
    usage: dict[str, dict[str, int]]
    cost: float | None


class DocumentShape(BaseModel):
    """A document."""

    id: str
    title: str
    source: str
    modality: str
    passages: int
    seconds: float
    metadata: dict[str, Scalar]


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
