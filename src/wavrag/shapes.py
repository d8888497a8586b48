"""The JSON shape of every result, as pydantic models.

The command line (`--json`), HTTP replies, server-sent events, WebSocket events and the OpenAPI
description all derive from these models. `SearchShape.dump(result)` gives plain JSON data; a model
reads the attributes with the names of its fields from any object.

Import this module inside functions only: pydantic takes 0.1 s to load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from wavrag.text import to_markdown
from wavrag.types import AbstainReason, ChosenBy, Leg, Modality, Passage, Scalar, SourceForm


def _rounded(digits: int) -> AfterValidator:
    return AfterValidator(lambda value: round(value, digits))


# Rounded: more digits would be noise, and make replies longer.
Milliseconds = Annotated[float, _rounded(1)]
LegScore = Annotated[float, _rounded(4)]
FusedScore = Annotated[float, _rounded(6)]
TimingsMs = dict[str, Milliseconds]

_AUDIO_FIELDS = frozenset({"start", "end"})
# Left out if the passage has none.
_OPTIONAL_FIELDS = frozenset({"speaker", "channel", "track", "recording", "copies"})
_TEXT_FIELDS = frozenset({"char_start", "char_end", "section", "page"})


def validation_message(errors: Sequence[Mapping[str, Any]], root: str = "the body") -> str:
    """The first of pydantic's errors as `path.to.field: reason`."""
    first = errors[0]
    location = ".".join(str(key) for key in first["loc"])
    return f"{location or root}: {first['msg']}"


class Shape(BaseModel):
    """A JSON object with its fields read from the attributes of a result."""

    # Validators are built when a model is first used: all of them take 40 ms, and most programs use
    # one or two.
    model_config = ConfigDict(validate_by_name=True, defer_build=True)

    @classmethod
    def dump(cls, source: Any) -> dict[str, Any]:
        """The JSON data of a result: an object with attributes for the fields, or a mapping."""
        return cls.model_validate(source).to_json()

    def to_json(self) -> dict[str, Any]:
        """JSON data, without fields of the other modality."""
        # `read` sets every field that applies, so the unset ones are those of the other modality.
        return self.model_dump(mode="json", exclude_unset=True)

    @classmethod
    def read(cls, source: Any) -> dict[str, Any]:
        """Values of the fields, from attributes named by the field's alias or the field itself."""
        values = {}
        for name, info in cls.model_fields.items():
            attribute = info.validation_alias or name
            assert isinstance(attribute, str)
            if hasattr(source, attribute):
                values[name] = getattr(source, attribute)
        return values

    @model_validator(mode="before")
    @classmethod
    def _read_attributes(cls, source: Any) -> Any:
        # FastAPI passes instances, clients and tests pass mappings: both have the fields already.
        return source if isinstance(source, cls | Mapping) else cls.read(source)


class PassageShape(Shape):
    """A passage: seconds for a recording, character offsets for a text."""

    id: str
    document_id: str
    modality: Modality
    source: str
    title: str
    location: str
    start: float | None = None
    end: float | None = None
    char_start: int | None = None
    char_end: int | None = None
    section: str | None = None
    page: int | None = None
    speaker: str | None = None
    channel: int | None = None
    track: int | None = None
    recording: str | None = None
    copies: list[str] = []  # paths of further files with the same content
    text: str | None
    metadata: dict[str, Scalar]

    @classmethod
    def read(cls, source: Any) -> dict[str, Any]:
        """Values of the fields for the passage's modality."""
        if not isinstance(source, Passage):
            # A hit or a citation: its JSON is flat, so the passage's fields stand beside its own.
            items = super().read(source).items()
            fields = PassageShape.model_fields
            return {name: value for name, value in items if name not in fields} | PassageShape.read(
                source.passage
            )
        hidden = _TEXT_FIELDS if source.modality == "audio" else frozenset()
        if source.section:
            hidden -= {"section"}  # chapter of a recording
        if source.start is None:
            hidden = _AUDIO_FIELDS
        hidden |= {name for name in _OPTIONAL_FIELDS if getattr(source, name) in (None, ())}
        return {name: value for name, value in super().read(source).items() if name not in hidden}


class HitShape(PassageShape):
    """A retrieved passage with its rank and scores."""

    rank: int
    score: FusedScore
    legs: dict[Leg, LegScore]  # without legs that did not retrieve the passage
    similar: list[HitShape] = []  # hits that say nearly the same; left out if there are none

    @classmethod
    def read(cls, source: Any) -> dict[str, Any]:
        """Values of the fields; similar hits only if there are any."""
        values = super().read(source)
        if not values.get("similar"):
            values.pop("similar", None)
        return values


class GivenHitShape(HitShape):
    """A hit, and its form in the generator's input."""

    source_form: SourceForm


class TimedWordShape(Shape):
    """A word with its time in the recording in seconds, and its probability from 0 to 1."""

    text: str
    start: float
    end: float
    probability: float


class CitationShape(PassageShape):
    """A passage under its number in the answer; `start` and `end` are those of the passage."""

    number: int
    quote: str
    quote_markdown: str  # the quote with its row of a table as a Markdown table
    # Times of the quote in the recording in seconds, which `location` shows; left out if unknown.
    quote_start: float | None = None
    quote_end: float | None = None
    quote_words: list[TimedWordShape] = []

    @classmethod
    def read(cls, source: Any) -> dict[str, Any]:
        """Values of the fields; those of the quote only if its times are known."""
        values = {**super().read(source), "location": source.location}
        values["quote_markdown"] = to_markdown(source.quote)
        if source.start is not None:
            times = {"start": source.start, "end": source.end, "words": source.words}
            values |= {f"quote_{name}": value for name, value in times.items()}
        return values


class SegmentShape(Shape):
    """A sentence of a transcript; times in seconds; the voice is left out if there is only one."""

    text: str
    start: float
    end: float
    words: list[TimedWordShape]
    speaker: str | None = None
    channel: int | None = None
    track: int | None = None

    @classmethod
    def read(cls, source: Any) -> dict[str, Any]:
        """Values of the fields, without those of an unknown voice."""
        values = super().read(source)
        hidden = [n for n in ("speaker", "channel", "track") if getattr(source, n) is None]
        return {name: value for name, value in values.items() if name not in hidden}


class TranscriptShape(Shape):
    """The transcript of a recording; the id is null if it is in no knowledge base."""

    document_id: str | None
    source: str
    title: str
    text: str
    segments: list[SegmentShape]


class SummarySentenceShape(Shape):
    """A sentence of a summary with its span in the recording in seconds."""

    text: str
    start: float
    end: float
    supported: bool  # false if a generator wrote it and the recording does not confirm it


class ChapterShape(Shape):
    """A chapter of a recording; times in seconds."""

    title: str
    start: float
    end: float
    sentences: list[SummarySentenceShape]


class ChaptersShape(Shape):
    """The chapters of a recording."""

    chapters: list[ChapterShape]


class SummaryShape(Shape):
    """The summary of a recording and of its chapters."""

    document_id: str | None
    source: str
    title: str
    sentences: list[SummarySentenceShape]
    chapters: list[ChapterShape]
    generator: str | None  # null if the sentences are quoted


class WeightedWordShape(Shape):
    """A word with its probability from 0 to 1."""

    text: str
    weight: float


class CorrectionShape(Shape):
    """A misspelled word of the query, and the words searched for instead."""

    word: str
    alternatives: list[WeightedWordShape]


class SearchShape(Shape):
    """The result of a search."""

    # The words searched for: as typed, or as recognised; null if the embedder has no recogniser.
    query: str | None = Field(validation_alias="words")
    suggestion: str | None  # the typed query with corrected spelling, which was searched too
    corrections: list[CorrectionShape]
    hits: list[HitShape]
    timings_ms: TimingsMs = Field(validation_alias="timings")


class RetrievalShape(Shape):
    """The hits for an answer, sent before its text."""

    question: str | None
    suggestion: str | None  # the typed question with corrected spelling, which was searched too
    hits: list[HitShape]
    timings_ms: TimingsMs = Field(validation_alias="timings")


class AbstentionShape(Shape):
    """The reason for not answering."""

    reason: AbstainReason
    detail: str


class SupportShape(Shape):
    """Whether a sentence is supported by its citations; offsets in the answer's text."""

    start: int
    end: int
    text: str
    cited: list[int]  # numbers of citations
    checkable: bool
    supported: bool


class PathShape(Shape):
    """One reasoning path; `tokens` is null if the generator does not report them."""

    text: str
    answer: str
    finished: bool
    error: str
    ms: Milliseconds  # from the start of the request to the model
    tokens: dict[Literal["in", "out"], int] | None

    @classmethod
    def read(cls, source: Any) -> dict[str, Any]:
        """Values of the fields; tokens under the same keys as in `usage` of an answer."""
        usage = source.usage
        tokens = {"in": usage.input, "out": usage.output} if usage else None
        return {**super().read(source), "tokens": tokens}


class AnswerShape(Shape):
    """An answer with its citations, hits, checks and timings."""

    question: str | None
    search_query: str | None
    suggestion: str | None
    answer: str = Field(validation_alias="text")
    spoken: str  # for a speech engine: no marks, numbers and units in words
    spoken_sources: str  # a sentence that names the cited sources
    markdown: str  # the answer with rows of tables as Markdown tables
    short: str  # the few words of it that answer the question; empty if unknown
    short_span: tuple[int, int] | None  # offsets of them in `answer`
    found: bool
    probability: float  # that the hits answer the question
    abstention: AbstentionShape | None
    withheld: str
    citations: list[CitationShape]
    support: list[SupportShape]
    generator: str
    paths: list[PathShape]
    chosen: int | None  # index into `paths`
    chosen_by: ChosenBy | None
    saved: int
    invented_citations: int
    timings_ms: TimingsMs = Field(validation_alias="timings")
    usage: dict[str, dict[str, int]]  # by stage, then `in` and `out`
    cost: float | None  # null without prices
    hits: list[GivenHitShape]

    @classmethod
    def read(cls, source: Any) -> dict[str, Any]:
        """Values of the fields; each hit with its form in the generator's input."""
        values = super().read(source)
        values["markdown"] = to_markdown(source.text)
        values["hits"] = [
            {**HitShape.read(hit), "source_form": form}
            for hit, form in zip(source.hits, source.source_forms, strict=True)
        ]
        return values


class DocumentShape(Shape):
    """A document of the knowledge base; `seconds` of audio, 0 for a text."""

    id: str
    title: str
    source: str
    modality: Modality
    passages: int
    seconds: float
    copies: list[str] = []  # paths of further files with the same content
    metadata: dict[str, Scalar]


class SkippedShape(Shape):
    """A source left out, and the reason."""

    source: str
    reason: str


class NoteShape(Shape):
    """An added source with a remark on it."""

    source: str
    note: str


class UnreadShape(Shape):
    """Files of a kind that is not read."""

    kind: str  # suffix in lower case; empty for files without one
    reason: str
    files: list[str]


class AddReportShape(Shape):
    """What adding did to each document; lengths of audio and of the run in seconds."""

    added: list[str]
    updated: list[str]
    unchanged: list[str]
    moved: list[str]
    copies: list[str]
    removed: list[str]
    skipped: list[SkippedShape]
    notes: list[NoteShape]
    unread: list[UnreadShape]
    passages: int
    audio_seconds: float
    seconds: float

    @classmethod
    def read(cls, source: Any) -> dict[str, Any]:
        """Values of the fields; pairs of a report become objects."""
        return {
            **super().read(source),
            "skipped": [{"source": name, "reason": reason} for name, reason in source.skipped],
            "notes": [{"source": name, "note": note} for name, note in source.notes],
        }


class ProgressShape(Shape):
    """Counts while documents are added, without the name of the current one."""

    documents: int
    total: int
    passages: int
    audio_seconds: float


class RemovalShape(Shape):
    """Ids of removed documents, and the number of their passages."""

    removed: list[str]
    passages: int
