"""Results of the tools of the MCP server; their schemas are the output schemas of the tools."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from wavrag import AddReport, Answer, Citation, Passage, Retrieval, StoredDocument, Transcript

P = TypeVar("P", bound="PassageResult")
DOCUMENT_URI = "wavrag://documents/{document_id}"
AUDIO_URI = "wavrag://audio/{document_id}/{start}/{end}"


class PassageResult(BaseModel):
    """A passage of a document."""

    document_id: str
    title: str
    source: str  # path or URL
    location: str  # `12:03.4-12:19.0`, or page, section and characters
    text: str
    start: float | None = None  # of a recording or transcript, in seconds
    end: float | None = None
    speaker: str | None = None
    section: str | None = None
    page: int | None = None
    metadata: dict[str, str | int | float | bool] = {}
    document_uri: str  # resource with the whole text
    audio_uri: str | None = None  # resource with the sound of the passage

    @classmethod
    def of(cls: type[P], passage: Passage, **fields: Any) -> P:
        """The result for a passage, with the fields of a subclass."""
        span = None
        if passage.modality == "audio" and passage.start is not None and passage.end is not None:
            span = audio_uri(passage.document_id, passage.start, passage.end)
        values = {
            "document_id": passage.document_id, "title": passage.title, "source": passage.source,
            "location": passage.location, "text": passage.text or "", "start": passage.start,
            "end": passage.end, "speaker": passage.speaker, "section": passage.section or None,
            "page": passage.page, "metadata": dict(passage.metadata),
            "document_uri": document_uri(passage.document_id), "audio_uri": span,
        }  # fmt: skip
        return cls(**values | fields)


class HitResult(PassageResult):
    """A retrieved passage."""

    rank: int
    score: float  # from 0 to 1: estimated probability that the passage answers the query


class SearchResult(BaseModel):
    """The hits of a search, best first."""

    query: str | None  # as typed or recognised; null if the speech was not transcribed
    suggestion: str | None  # the typed query with corrected spelling, which was searched too
    hits: list[HitResult]


class CitationResult(PassageResult):
    """A passage cited by an answer; its location and times are those of the quote if known."""

    number: int  # of the mark in the answer, such as [1]
    quote: str


class AnswerResult(BaseModel):
    """An answer with its citations."""

    question: str | None  # as typed or recognised
    answer: str
    found: bool  # false if the documents do not answer the question
    probability: float  # from 0 to 1, that the passages found answer the question
    abstention: str | None  # the reason for no answer
    unsupported_sentences: list[str]  # sentences of the answer that their citations do not confirm
    citations: list[CitationResult]


class DocumentResult(BaseModel):
    """A document."""

    document_id: str
    title: str
    source: str
    modality: str  # `text` or `audio`
    passages: int
    seconds: float  # length of a recording
    metadata: dict[str, str | int | float | bool]
    document_uri: str


class DocumentListResult(BaseModel):
    """A page of the list of documents."""

    documents: list[DocumentResult]
    total: int
    next_offset: int | None  # null on the last page


class DocumentTextResult(BaseModel):
    """Consecutive passages of a document."""

    document_id: str
    title: str
    source: str
    passages: list[PassageResult]
    total: int  # passages of the document
    next_passage: int | None  # null at the end


class SentenceResult(BaseModel):
    """A sentence of a transcript; times in seconds."""

    text: str
    start: float
    end: float
    speaker: str | None


class TranscriptResult(BaseModel):
    """Sentences of a recording in the order of their times."""

    document_id: str
    title: str
    source: str
    sentences: list[SentenceResult]


class AddResult(BaseModel):
    """The outcome of adding documents."""

    added: list[str]  # ids
    updated: list[str]
    unchanged: list[str]
    skipped: dict[str, str]  # reason by source


def document_uri(document_id: str) -> str:
    """The URI of the resource with the text of a document."""
    return DOCUMENT_URI.format(document_id=quote(document_id, safe=""))


def audio_uri(document_id: str, start: float, end: float) -> str:
    """The URI of the resource with a span of a recording, from `start` to `end` seconds."""
    return AUDIO_URI.format(
        document_id=quote(document_id, safe=""), start=round(start, 3), end=round(end, 3)
    )


def describe_search(retrieval: Retrieval) -> SearchResult:
    """The result for the hits of a search."""
    hits = [
        HitResult.of(hit.passage, rank=hit.rank, score=round(hit.score, 6))
        for hit in retrieval.hits
    ]
    return SearchResult(query=retrieval.words, suggestion=retrieval.suggestion, hits=hits)


def describe_citation(citation: Citation) -> CitationResult:
    """The result for a citation, with the times of its quote if they are known."""
    passage = citation.passage
    times: dict[str, Any] = {}
    if citation.start is not None and citation.end is not None:
        times = {"start": citation.start, "end": citation.end}
        if passage.modality == "audio":
            times["audio_uri"] = audio_uri(passage.document_id, citation.start, citation.end)
    return CitationResult.of(
        passage, number=citation.number, quote=citation.quote, location=citation.location, **times
    )


def describe_answer(answer: Answer) -> AnswerResult:
    """The result for an answer."""
    return AnswerResult(
        question=answer.question,
        answer=answer.text,
        found=answer.found,
        probability=round(answer.probability, 3),
        abstention=answer.abstention.detail if answer.abstention else None,
        unsupported_sentences=[s.text for s in answer.support if s.checkable and not s.supported],
        citations=[describe_citation(citation) for citation in answer.citations],
    )


def describe_document(document: StoredDocument) -> DocumentResult:
    """The result for a document of a list."""
    return DocumentResult(
        document_id=document.id,
        title=document.title,
        source=document.source,
        modality=document.modality,
        passages=document.passages,
        seconds=document.seconds,
        metadata=dict(document.metadata),
        document_uri=document_uri(document.id),
    )


def describe_transcript(
    transcript: Transcript, document_id: str, start: float, end: float
) -> TranscriptResult:
    """The result for the sentences of a transcript that overlap a span."""
    sentences = [
        SentenceResult(text=s.text, start=s.start, end=s.end, speaker=s.voice or None)
        for s in transcript.segments
        if s.end > start and s.start < end
    ]
    return TranscriptResult(
        document_id=document_id,
        title=transcript.title,
        source=transcript.source,
        sentences=sentences,
    )


def describe_report(report: AddReport) -> AddResult:
    """The result for a report."""
    return AddResult(
        added=report.added,
        updated=report.updated,
        unchanged=report.unchanged,
        skipped=dict(report.skipped),
    )
