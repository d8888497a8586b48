"""The data that flows through WavRAG: frozen, numpy only, no behaviour beyond small derivations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Float32: TypeAlias = npt.NDArray[np.float32]
Role: TypeAlias = Literal["query", "passage"]
Modality: TypeAlias = Literal["text", "audio"]
Leg: TypeAlias = Literal["dense", "lexical"]
ChosenBy: TypeAlias = Literal["choice", "majority", "first"]
SourceForm: TypeAlias = Literal["sound", "words", "caption", "nothing"]
AbstainReason: TypeAlias = Literal["nothing retrieved", "weak retrieval", "nothing supported"]
Scalar: TypeAlias = str | int | float | bool
Metadata: TypeAlias = Mapping[str, Scalar]
NoteCallback: TypeAlias = Callable[[str], None]  # told of what is worth knowing but no error

_NO_METADATA: Metadata = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Mono sound.

    Attributes:
        samples: float32 in [-1, 1], shape = (n_samples,).
        sample_rate: Hz.
        source: path or URI of the recording that the samples come from.
        start: second of the recording at which the samples start.
        speech: whether there is a voice in it; None where nobody has listened for one.
    """

    samples: Float32
    sample_rate: int
    source: str | None = None
    start: float = 0.0
    speech: bool | None = None

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def end(self) -> float:
        """Second of the recording at which the samples end."""
        return self.start + self.duration


@dataclass(frozen=True, slots=True, eq=False)
class EmbedInput:
    """What an embedder turns into one vector: text, sound, or both."""

    text: str | None = None
    clip: Clip | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One entry of the knowledge base before it is split: a text, a recording, or a file of either.

    Attributes:
        id: unique in its knowledge base; a file's id is its absolute path.
        text: the whole text, for a document that is not a file.
        clip: the whole sound, for a recording that is not a file.
        path: file to read, for a document that is one.
        title: shown to people and embedded along with text.
        metadata: flat and JSON-able; filters (`--where`) test it.
        content_hash: hex digest of the content; filled in when the document is added.
    """

    id: str
    text: str | None = None
    clip: Clip | None = None
    path: str | None = None
    title: str = ""
    metadata: Metadata = field(default_factory=lambda: _NO_METADATA)
    content_hash: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """The unit that is embedded, found and cited: a stretch of text, or a span of a recording.

    Attributes:
        document_id: the document that it belongs to.
        ordinal: position in the document, from 0.
        text: its text; for a recording the words that the embedder recognised, if it has any.
        start: second at which a recording's passage starts; None for text.
        end: second at which a recording's passage ends; None for text.
        char_start: offset of the first character in the document's text; None for recordings.
        char_end: offset after the last character in the document's text; None for recordings.
        section: headings above the text, outermost first, joined by " > ".
        page: page number from 1, for documents that have pages.
        source: path or URI of the document.
        title: the document's title.
        metadata: the document's metadata.
        speech: True if a recording's passage contains speech; None for text and where nobody
            measured it.
        level: RMS level of a recording's passage in dBFS, `-inf` for digital silence; None for
            text and where nobody measured it.
    """

    document_id: str
    ordinal: int
    text: str | None = None
    start: float | None = None
    end: float | None = None
    char_start: int | None = None
    char_end: int | None = None
    section: str = ""
    page: int | None = None
    source: str = ""
    title: str = ""
    metadata: Metadata = field(default_factory=lambda: _NO_METADATA)
    speech: bool | None = None
    level: float | None = None

    @property
    def id(self) -> str:
        """Unique in its knowledge base."""
        return f"{self.document_id}#{self.ordinal}"

    @property
    def modality(self) -> Modality:
        """Whether the passage is a span of a recording or a stretch of text."""
        return "text" if self.start is None else "audio"

    @property
    def location(self) -> str:
        """Where in its source it stands: `12:03.4-12:19.0`, or page, section and characters."""
        if self.start is not None and self.end is not None:
            return f"{format_seconds(self.start)}-{format_seconds(self.end)}"
        parts = [f"page {self.page}"] if self.page is not None else []
        if self.section:
            parts.append(self.section)
        if self.char_start is not None and self.char_end is not None:
            parts.append(f"characters {self.char_start}-{self.char_end}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A question: text, sound, or both, and the filter that its answers must pass."""

    text: str | None = None
    clip: Clip | None = None
    where: str | None = None

    @property
    def modality(self) -> Modality:
        """`audio` as soon as there is sound."""
        return "text" if self.clip is None else "audio"


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage with the score of one leg, higher is better."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    Attributes:
        passage: what was found.
        rank: from 1.
        score: the fused score that the rank follows; comparable within one result only.
        legs: the score of every leg that found it: `dense` is a cosine, `lexical` a BM25 score.
    """

    passage: Passage
    rank: int
    score: float
    legs: Mapping[Leg, float]


@dataclass(frozen=True, slots=True)
class Citation:
    """The passage that a statement of an answer rests on.

    Attributes:
        number: as it stands in the answer, `[1]`.
        passage: what is cited; its `location` says which seconds or characters.
        quote: the words of the passage that support the statement; empty if the model gave none.
    """

    number: int
    passage: Passage
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a model read and wrote, as its generator reports them."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class ReasoningPath:
    """One of the answers that were sampled for a question.

    Attributes:
        text: everything that the model wrote.
        answer: the answer parsed out of it, with its marks; empty if it did not finish.
        finished: whether it was written to its end.
        error: why it did not finish; empty if it did.
        ms: milliseconds from the start of the sampling's request to its end.
        usage: its tokens, where the generator reports them. A prompt that several paths share, and
            that is read once, is counted with one of them.
    """

    text: str
    answer: str = ""
    finished: bool = True
    error: str = ""
    ms: float = 0.0
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Support:
    """What the check of one sentence gave.

    Attributes:
        start: offset of its first character in the answer.
        end: offset after its last character, marks included.
        text: the sentence without marks.
        cited: numbers of the passages that it was compared with.
        lexical: share of its content words that they have, from 0 to 1.
        dense: best cosine with one of their sentences; None without an embedder.
        same_numbers: whether every number of it stands in them.
        same_negation: whether it is negated just as the sentence that says most of it.
        checkable: whether there are words to compare it with; not so where it cites only
            recordings without words. One that cites nothing is checked, and fails.
        supported: whether all of that suffices.
    """

    start: int
    end: int
    text: str
    cited: tuple[int, ...]
    lexical: float
    dense: float | None
    same_numbers: bool
    same_negation: bool
    checkable: bool
    supported: bool


@dataclass(frozen=True, slots=True)
class Abstention:
    """Why nothing should be answered.

    Attributes:
        reason: in a few words, for programs.
        detail: with the figures, for people.
    """

    reason: AbstainReason
    detail: str


@dataclass(frozen=True, slots=True)
class HistoryTurn:
    """A question of a conversation and what was answered.

    Attributes:
        question: in words, as it was asked.
        answer: its text, with or without marks; empty if nothing was found.
    """

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, what it rests on, and what it took.

    Attributes:
        text: the answer, with citation marks such as `[1]`.
        found: False when nothing in the knowledge base supports an answer.
        question: the question in words: as typed, or as the embedder recognised it, if it did.
        search_query: the words that were searched for, where a follow-up leant on earlier turns.
        citations: one for every mark in the text that names a source.
        hits: what the generator was given to answer from, best first.
        source_forms: the form in which the generator got each hit: its `sound`, its `words`, a
            `caption`, or `nothing` but its name.
        support: for each sentence of the text, whether what it cites says it.
        abstention: why nothing was answered, where that was decided for the generator.
        withheld: what the generator had written, where nothing that it cites supports it.
        generator: name of the generator that wrote it.
        paths: reasoning paths that were sampled; empty when there was only the answer itself.
        chosen: index into `paths` of the one that won.
        chosen_by: what decided: the model's `choice`, the `majority` of the answers, or being the
            `first` that finished; None without paths.
        saved: paths that need not be written, because the others decided.
        invented_citations: marks in the text that named no source, and were dropped.
        timings: milliseconds for each stage.
        usage: tokens for each stage, `in` and `out`, where the generator reports them.
        cost: of these tokens, where prices were given.
    """

    text: str
    found: bool
    question: str | None = None
    search_query: str | None = None
    citations: tuple[Citation, ...] = ()
    hits: tuple[Hit, ...] = ()
    source_forms: tuple[SourceForm, ...] = ()
    support: tuple[Support, ...] = ()
    abstention: Abstention | None = None
    withheld: str = ""
    generator: str = ""
    paths: tuple[ReasoningPath, ...] = ()
    chosen: int | None = None
    chosen_by: ChosenBy | None = None
    saved: int = 0
    invented_citations: int = 0
    timings: Mapping[str, float] = field(default_factory=dict)
    usage: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    cost: float | None = None

    @property
    def history_turn(self) -> HistoryTurn:
        """What a later question of the same conversation needs to know of this one."""
        return HistoryTurn(self.question or "", self.text if self.found else "")


def format_seconds(seconds: float) -> str:
    """Time of a recording for people: 723.4 gives `12:03.4`, 3723.4 gives `1:02:03.4`."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02d}:{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{clock}" if hours else clock.removeprefix("0")


def as_float32(values: Any) -> Float32:
    """Any array-like as a contiguous float32 array."""
    return np.ascontiguousarray(values, dtype=np.float32)
