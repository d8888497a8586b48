"""From a question to its answer: retrieve, choose what is read, write, check.

`AnswerPipeline` holds the settings of all questions; `AnswerRequest` is a single question.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from wavrag import generate
from wavrag.answer.context import build_context
from wavrag.answer.grounding import check, should_abstain
from wavrag.answer.history import bounded, resolve
from wavrag.answer.options import AnswerOptions
from wavrag.answer.reasoning import Reasoned, ReasoningOptions, reason
from wavrag.answer.sampling import PathSink
from wavrag.answer.sources import SourceAudio, add_transcripts, load_source_audio
from wavrag.answer.stream import RetrievalResult
from wavrag.errors import GenerationError
from wavrag.generate import (
    GenerateOptions,
    GeneratorInput,
    Message,
    QuestionPart,
    StopSignal,
    Stream,
    answer_messages,
    attribute,
    declines,
    fit_audio,
    parse_citations,
    sources_of,
)
from wavrag.kb import KnowledgeBase, Retrieval
from wavrag.search import drop_overlapping
from wavrag.types import Abstention, Answer, HistoryTurn, Hit, Query, Usage

NOTHING_FOUND = "Nothing in the knowledge base answers this."
CANDIDATES = 20  # hits among which those that a generator is given are chosen


@dataclass(frozen=True)
class AnswerRequest:
    """A question, and how its answer is to be written."""

    query: Query
    options: GenerateOptions
    reasoning: ReasoningOptions | None
    history: Sequence[HistoryTurn]
    on_path: PathSink | None
    stop: StopSignal
    retrieval: Retrieval | None = None  # of the query, where that has been done


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What was retrieved.

    Attributes:
        hits: best first.
        words: of the question; None where there are none.
        searched: the words that a follow-up was searched for with; None for another question.
    """

    hits: tuple[Hit, ...]
    words: str | None
    searched: str | None


@dataclass
class _Made:
    """What was written for an answer, and what it took."""

    timings: dict[str, float] = field(default_factory=dict)
    text: str = ""
    usage: dict[str, Usage] = field(default_factory=dict)
    reasoned: Reasoned | None = None
    abstained: Abstention | None = None
    given: GeneratorInput | None = None


class AnswerPipeline:
    """Answers questions from a knowledge base with a generator."""

    def __init__(
        self, kb: KnowledgeBase, generator: generate.Generator, options: AnswerOptions
    ) -> None:
        self._kb = kb
        self._generator = generator
        self._options = options
        self._abstain = options.abstain_for(kb.embedder.spec.name)
        self._hearing = generator.spec.audio_budget
        self._quotes = generator.spec.quotes

    def pieces(self, asked: AnswerRequest) -> Generator[str | RetrievalResult | Answer, None, None]:
        """What is found, the pieces of the answer as they are written, and then the answer.

        Raises:
            GenerationError: the generator failed; its `hits` are what it was given.
        """
        made = _Made()
        found = self._retrieve(asked, made)
        made.abstained = should_abstain(found.hits, None, self._abstain)
        hits = () if made.abstained else self._context(found)
        yield RetrievalResult(found.words, hits, dict(made.timings))
        try:
            if hits:
                made.given = self._give(asked, found, hits, made)
                write = self._reason if asked.reasoning else self._write
                yield from write(made.given.messages, asked, made)
        except GenerationError as error:
            if asked.stop.is_set:
                return
            error.hits = hits
            raise
        if asked.stop.is_set:
            return
        if not made.text.strip():
            yield NOTHING_FOUND
        yield self._answer(asked, found, made)

    def _retrieve(self, asked: AnswerRequest, made: _Made) -> _Found:
        """The hits of a question, or of a follow-up with what it leans on."""
        query = asked.query
        retrieval = asked.retrieval or self._kb.retrieve(query, CANDIDATES)
        made.timings |= retrieval.timings
        words = retrieval.words
        if self._options.recognise and (asked.history or not self._hears(query)):
            words = self._kb.transcribe_query(query, words)
        searched = resolve(words, asked.history) if words else None
        if searched:
            retrieval = self._kb.retrieve(Query(text=searched, where=query.where), CANDIDATES)
            for stage, taken in retrieval.timings.items():
                made.timings[stage] += taken
        return _Found(retrieval.hits[:CANDIDATES], words, searched)

    def _hears(self, query: Query) -> bool:
        """Whether the generator is given the question's sound, if it has any."""
        budget = self._hearing
        return budget is not None and (
            query.clip is None or query.clip.duration <= budget.max_clip_seconds
        )

    def _context(self, found: _Found) -> tuple[Hit, ...]:
        """The hits that the generator is given."""
        context = self._options.context_for(self._quotes)
        return build_context(drop_overlapping(found.hits), context).hits

    def _give(
        self, asked: AnswerRequest, found: _Found, hits: Sequence[Hit], made: _Made
    ) -> GeneratorInput:
        """What the generator is given: sound as far as it hears, and words for the rest."""
        started = time.perf_counter()
        hears = self._hearing is not None
        audio = (
            SourceAudio.empty(hits)
            if self._quotes
            else load_source_audio(self._kb, hits, decode=hears)
        )
        clips = audio.clips if hears else None
        question = QuestionPart(found.words, asked.query.clip)
        history = bounded(asked.history, self._options.history)

        def given(hits: Sequence[Hit]) -> GeneratorInput:
            messages = answer_messages(
                question, hits, clips, facts=audio.descriptions, history=history
            )
            return fit_audio(messages, self._hearing, asked.query)

        first = given(hits)
        if self._options.recognise:
            unheard = [first.sources[n] != "sound" for n in range(1, len(hits) + 1)]
            first = given(add_transcripts(self._kb, hits, audio, unheard))
        made.timings["read"] = 1e3 * (time.perf_counter() - started)
        return first

    def _write(
        self, messages: Sequence[Message], asked: AnswerRequest, made: _Made
    ) -> Iterator[str]:
        """The answer as the generator writes it."""
        started = time.perf_counter()
        pieces = Stream.of(self._generator.stream(messages, asked.options))
        with asked.stop.notify(pieces.close), closing(pieces):
            for piece in pieces:
                if not made.text:
                    made.timings["first_piece"] = 1e3 * (time.perf_counter() - started)
                made.text += piece
                yield piece
        made.timings["generate"] = 1e3 * (time.perf_counter() - started)
        if pieces.usage is not None:
            made.usage["generate"] = pieces.usage

    def _reason(
        self, messages: Sequence[Message], asked: AnswerRequest, made: _Made
    ) -> Iterator[str]:
        """The answer that was chosen among paths of reasoning."""
        assert asked.reasoning is not None
        made.reasoned = reason(
            self._generator,
            messages,
            asked.options,
            asked.reasoning,
            stop=asked.stop,
            on_path=asked.on_path,
        )
        made.timings.update(made.reasoned.timings)
        made.usage.update(made.reasoned.usage)
        made.text = made.reasoned.paths[made.reasoned.chosen].answer
        yield made.text

    def _answer(self, asked: AnswerRequest, found: _Found, made: _Made) -> Answer:
        """What was written, checked against what it cites."""
        parts = sources_of(made.given.messages) if made.given else []
        modes = made.given.sources if made.given else {}
        # First, so that a sentence whose mark names nothing counts as one without.
        written = parse_citations(made.text.strip(), parts)
        cited = parse_citations(attribute(written.text, parts), parts)
        answers = bool(cited.text) and not declines(cited.text)
        support = check(cited.text, parts, self._options.grounding) if answers else ()
        abstained = made.abstained
        if answers:
            abstained = should_abstain(found.hits, support, self._abstain)
        withheld = answers and abstained is not None
        reasoned = made.reasoned
        return Answer(
            text=NOTHING_FOUND if withheld or not cited.text else cited.text,
            found=answers and not withheld,
            question=found.words,
            search_query=found.searched,
            citations=() if withheld else cited.citations,
            hits=tuple(part.hit for part in parts),
            source_forms=tuple(modes[part.number] for part in parts),
            support=() if withheld else support,
            abstention=abstained,
            withheld=cited.text if withheld else "",
            generator=self._generator.spec.name,
            paths=reasoned.paths if reasoned else (),
            chosen=reasoned.chosen if reasoned else None,
            chosen_by=reasoned.chosen_by if reasoned else None,
            saved=reasoned.saved if reasoned else 0,
            invented_citations=written.invented,
            timings=made.timings,
            usage={stage: {"in": it.input, "out": it.output} for stage, it in made.usage.items()},
            cost=asked.options.cost(made.usage.values()),
        )
