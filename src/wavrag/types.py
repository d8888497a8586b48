"""Data classes shared by all packages: frozen, without logic beyond derived values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Float32: TypeAlias = npt.NDArray[np.float32]
    Int64: TypeAlias = npt.NDArray[np.int64]
Role: TypeAlias = Literal["query", "passage"]
Modality: TypeAlias = Literal["text", "audio"]
Leg: TypeAlias = Literal["dense", "lexical"]
ChosenBy: TypeAlias = Literal["choice", "majority", "first"]
SourceForm: TypeAlias = Literal["sound", "words", "caption", "nothing"]
AbstainReason: TypeAlias = Literal["nothing retrieved", "weak retrieval", "nothing supported"]
# Channels of a recording: heard separately if each has a speaker of its own, mixed, or separately.
Channels: TypeAlias = Literal["auto", "mix", "split"]
Scalar: TypeAlias = str | int | float | bool
Metadata: TypeAlias = Mapping[str, Scalar]
# Called with a message worth knowing that is no error, such as a guessed encoding.
NoteCallback: TypeAlias = Callable[[str], None]
OnNote: TypeAlias = NoteCallback | None


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Mono audio samples in memory.

    Attributes:
        samples: float32 in [-1, 1], shape = (n_samples,).
        sample_rate: Hz.
        source: path or URI of the recording.
        start: start time within the recording in seconds.
        speech: True if the clip contains speech; None if voice activity detection has not run.
    """

    samples: Float32
    sample_rate: int
    source: str | None = None
    start: float = 0.0
    speech: bool | None = None

    @property
    def duration(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def end(self) -> float:
        """End time within the recording in seconds."""
        return self.start + self.duration


@dataclass(frozen=True, slots=True, eq=False)
class EmbedInput:
    """Input of an embedder that becomes one vector: text, a clip, or both."""

    text: str | None = None
    clip: Clip | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A text, a recording, or a file of either, to be added to a knowledge base.

    Attributes:
        id: unique id in the knowledge base; the absolute path for files.
        text: complete text, for a document in memory.
        clip: complete audio, for a recording in memory.
        path: path, for a file.
        source: cited instead of the path, such as the URL that a file comes from.
        chapters: start in seconds and title of the chapters of a recording that has none itself.
        title: shown in results, and embedded along with the text.
        metadata: flat and JSON-serialisable; filters (`--where`) refer to it.
        channels: for a file with a recording: `split` its channels, `mix` them, or `auto`: split
            the two channels of a recording with a speaker in each.
        copies: paths of further files with the same content; found when files are added.
    """

    id: str
    text: str | None = None
    clip: Clip | None = None
    path: str | None = None
    title: str = ""
    metadata: Metadata = field(default_factory=dict)
    source: str = ""
    channels: Channels = "auto"
    chapters: tuple[tuple[float, str], ...] = ()
    copies: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The source of its passages: `source`, the path or the id."""
        return self.source or self.path or self.id


@dataclass(frozen=True, slots=True)
class Passage:
    """The unit of embedding, storage, retrieval and citation: a span of a text or a recording.

    Attributes:
        document_id: id of its document.
        ordinal: position in the document, from 0.
        text: the text; for a recording the transcript of the embedder, if available.
        start: start time in the recording in seconds; None for text without times.
        end: end time in the recording in seconds; None for text without times.
        char_start: offset of the first character in the document's text; None for recordings.
        char_end: offset after the last character in the document's text; None for recordings.
        section: headings above the text, outermost first, joined by " > "; for a recording the
            title of the track and of the chapter, if any.
        page: page number from 1, for documents with pages.
        source: path or URI of the document.
        title: the document's title.
        metadata: the document's metadata.
        speech: True if a recording's passage contains speech; None for text and if not measured.
        level: RMS level of a recording's passage in dBFS, `-inf` for digital silence; None for
            text and if not measured.
        speaker: name of the speaker, if known.
        channel: channel of a recording with a speaker per channel, from 1.
        track: audio track of a file with several, from 1.
        recording: path or URI of the recording that the times of a transcript refer to; None if it
            is the source, or unknown.
        copies: paths of further files with the content of the source.
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
    metadata: Metadata = field(default_factory=dict)
    speech: bool | None = None
    level: float | None = None
    speaker: str | None = None
    channel: int | None = None
    track: int | None = None
    recording: str | None = None
    copies: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Unique id in the knowledge base."""
        return f"{self.document_id}#{self.ordinal}"

    @property
    def modality(self) -> Modality:
        """`audio` for a span of a recording, `text` otherwise, also for a transcript with times."""
        return "text" if self.start is None or self.char_start is not None else "audio"

    @property
    def location(self) -> str:
        """Span in the source: `12:03.4-12:19.0` and chapter, or page, section and characters."""
        if self.start is not None and self.end is not None:
            numbers = {"track": self.track, "channel": self.channel}
            labels = [f"{name} {number}" for name, number in numbers.items() if number is not None]
            if self.section and self.char_start is None:
                labels.append(self.section)
            return ", ".join([f"{format_seconds(self.start)}-{format_seconds(self.end)}", *labels])
        labels = [f"page {self.page}"] if self.page is not None else []
        if self.section:
            labels.append(self.section)
        if self.char_start is not None and self.char_end is not None:
            labels.append(f"characters {self.char_start}-{self.char_end}")
        return ", ".join(labels)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A search request: text, a clip, or both.

    Attributes:
        text: typed query.
        clip: spoken query, or a sound to search for.
        where: filter expression for the hits (`wavrag.where`).
        spelling: True to search also for words of the knowledge base that resemble a typed word
            without any occurrence.

    Example:
        >>> Query("When does the ferry leave?", where="year >= 2020").modality
        'text'
    """

    text: str | None = None
    clip: Clip | None = None
    where: str | None = None
    spelling: bool = True

    @property
    def modality(self) -> Modality:
        """`audio` for a query with a clip, `text` otherwise."""
        return "text" if self.clip is None else "audio"


@dataclass(frozen=True, slots=True)
class WeightedWord:
    """A possible reading of a word of the query, with its probability from 0 to 1."""

    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class LexicalQuery:
    """Words for the lexical leg: a text, and further words with weights.

    The score of a passage is the BM25 score of the text, plus for each alternative its weight
    times its BM25 score.
    """

    text: str
    alternatives: tuple[WeightedWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Correction:
    """A word of the query without any occurrence, and similar words of the knowledge base.

    Attributes:
        word: the word as typed.
        alternatives: best first; their weights sum to 1.
    """

    word: str
    alternatives: tuple[WeightedWord, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Words of a store.

    Attributes:
        words: distinct, in lower case.
        counts: number of passages with each word, shape = (n_words,).
        pairs: frequent pairs of adjacent words as indices of words, shape = (n_pairs, 2).
        pair_counts: occurrences of each pair, shape = (n_pairs,).
    """

    words: tuple[str, ...]
    counts: Int64
    pairs: Int64
    pair_counts: Int64


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage with its score in one leg; higher is better."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved passage.

    Attributes:
        passage: the passage.
        rank: rank from 1.
        score: fused score, which determines the rank: from 0 to 1, an estimate of the probability
            that the passage answers the query. With fusion by `ranks`, comparable within one
            result only.
        legs: score in each leg that retrieved the passage: a cosine for `dense`, a BM25 score for
            `lexical`.
        similar: further hits that say nearly the same, best first, with the rank of this one.
    """

    passage: Passage
    rank: int
    score: float
    legs: Mapping[Leg, float]
    similar: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word of a transcript with its time.

    Attributes:
        text: the word with its punctuation, without white space.
        start: start time in the recording in seconds.
        end: end time in the recording in seconds.
        probability: from 0 to 1, that the word was spoken as written.
    """

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Citation:
    """A citation: a passage that supports a statement of an answer.

    Attributes:
        number: number in the answer, `[1]`.
        passage: the cited passage.
        quote: the sentence of the passage closest to the statement; empty if no word is shared.
        start: start time of the quote in the recording in seconds, or of the part of a sound
            closest to the question; None if unknown.
        end: end time of the same in seconds; None if unknown.
        words: the words of the quote with their times; empty if unknown.
    """

    number: int
    passage: Passage
    quote: str = ""
    start: float | None = None
    end: float | None = None
    words: tuple[TimedWord, ...] = ()

    @property
    def location(self) -> str:
        """Location of the passage, with the times of the quote if they are known."""
        if self.start is None or self.end is None:
            return self.passage.location
        return replace(self.passage, start=self.start, end=self.end).location


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of a model call, as its generator reports them."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool of the user by a generator.

    Attributes:
        id: its id, for the result.
        name: name of the tool.
        arguments: its arguments as JSON, as the model wrote them.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ReasoningPath:
    """One of the answers sampled for a question.

    Attributes:
        text: complete output of the model.
        answer: the answer extracted from it, with its marks; empty if the path is unfinished.
        finished: True if the model reached the end and wrote an answer.
        error: reason why the path is unfinished; empty otherwise.
        ms: milliseconds from the start of the request to its end.
        usage: its tokens, if the generator reports them. A prompt shared by several paths counts
            with one of them.
    """

    text: str
    answer: str = ""
    finished: bool = True
    error: str = ""
    ms: float = 0.0
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Support:
    """Result of the citation check of one sentence.

    Attributes:
        start: offset of its first character in the answer.
        end: offset after its last character, including marks.
        text: the sentence without marks.
        cited: numbers of the cited passages.
        lexical: share of its content words in the cited passages, from 0 to 1.
        dense: maximum cosine with a sentence of these passages; None without an embedder.
        same_numbers: True if every number of it occurs in these passages.
        same_negation: True if it is negated like the closest sentence of these passages.
        checkable: False if it cites only recordings without a transcript. A sentence without
            citations is checked, and fails.
        supported: True if it passes all thresholds.
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
    """Reason not to answer.

    Attributes:
        reason: one of a few values, for programs.
        detail: the reason with its figures, for people.
    """

    reason: AbstainReason
    detail: str


@dataclass(frozen=True, slots=True)
class HistoryTurn:
    """An earlier question of a conversation with its answer.

    Attributes:
        question: the question as text.
        answer: text of the answer, with or without marks; empty if nothing was found.
    """

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its citations, sources and cost.

    Attributes:
        text: the answer, with citation marks such as `[1]`.
        spoken: the answer for a speech engine: without marks and markup, numbers and units in
            words; it says which sentences are not in the sources.
        spoken_sources: a sentence that names the cited sources, to be spoken on request.
        found: False if nothing in the knowledge base supports an answer.
        question: the question as typed, or as recognised; None without a transcript.
        search_query: text searched instead of a follow-up, completed from the history.
        suggestion: text of the typed query with corrected spelling, which was searched too.
        short_span: offsets of the short answer in the text, the few words that answer the question;
            None if the generator does not know them.
        citations: one for every mark in the text with a source.
        hits: sources of the generator, or without an answer the closest passages, best first.
        source_forms: form of each hit in the generator's input: its `sound`, its `words`, a
            `caption`, or `nothing` but its name.
        probability: estimate from 0 to 1 that the hits answer the question.
        support: result of the citation check of each sentence.
        abstention: reason for no answer; None if there is one, or if the generator declined.
        withheld: text of the generator that was withheld because nothing it cites supports it.
        generator: name of the generator.
        paths: sampled reasoning paths; empty without reasoning.
        chosen: index of the path whose answer was chosen.
        chosen_by: method of the choice: the model's `choice`, the `majority`, or the `first` path
            to finish; None without paths.
        saved: paths skipped because the others had decided.
        invented_citations: count of marks without a source, which were removed.
        timings: milliseconds of each stage.
        usage: tokens of each stage, `in` and `out`, if the generator reports them.
        cost: cost of these tokens, if prices were set.
        tool_calls: calls of tools in `GenerateOptions.tools`; the text is empty if there are only
            these.
    """

    text: str
    found: bool
    question: str | None = None
    search_query: str | None = None
    suggestion: str | None = None
    short_span: tuple[int, int] | None = None
    citations: tuple[Citation, ...] = ()
    hits: tuple[Hit, ...] = ()
    source_forms: tuple[SourceForm, ...] = ()
    probability: float = 0.0
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
    spoken: str = ""
    spoken_sources: str = ""
    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def short(self) -> str:
        """The short answer; empty if it is unknown."""
        return "" if self.short_span is None else self.text[slice(*self.short_span)]

    @property
    def history_turn(self) -> HistoryTurn:
        """The question and its answer, for the history of a follow-up."""
        return HistoryTurn(self.question or "", self.text if self.found else "")


def format_seconds(seconds: float) -> str:
    """Format a time in a recording.

    Example:
        >>> format_seconds(723.4), format_seconds(3723.4)
        ('12:03.4', '1:02:03.4')
    """
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02d}:{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{clock}" if hours else clock.removeprefix("0")


def format_whole_seconds(seconds: float) -> str:
    """Format a time in a recording, rounded down so that a player misses no word.

    Example:
        >>> format_whole_seconds(723.9), format_whole_seconds(3723.4)
        ('12:03', '1:02:03')
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def as_float32(values: Any) -> Float32:
    """Convert an array-like to a contiguous float32 array."""
    import numpy as np

    return np.ascontiguousarray(values, dtype=np.float32)


def __getattr__(name: str) -> Any:
    if name not in ("Float32", "Int64"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # When first used: the processes that parse documents do without NumPy, and start faster.
    import numpy as np
    import numpy.typing as npt

    return npt.NDArray[np.float32] if name == "Float32" else npt.NDArray[np.int64]
