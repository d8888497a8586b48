"""The stages from a question to a checked answer.

`AnswerPipeline.run` lists them: retrieve, decide whether to abstain, select the context, prepare
the generator's input, generate or reason, check the citations. `AnswerRequest` is one question.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from wavrag import generate, telemetry
from wavrag.answer.abstention import should_abstain
from wavrag.answer.answerability import MIN_PROBABILITY, NO_ESTIMATE, estimate_answerability
from wavrag.answer.citation_check import check_citations, flag_unsupported_sentences
from wavrag.answer.context import EXTRACTIVE_CONTEXT, ContextOptions, build_context
from wavrag.answer.history import resolve_follow_up, truncate_history
from wavrag.answer.quote_times import add_quote_times
from wavrag.answer.reasoning import ReasoningOptions, ReasoningResult, reason
from wavrag.answer.sampling import PathCallback
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
    find_short_answer,
    fit_audio,
    is_refusal,
    list_sources,
    parse_citations,
    rank_quotes,
)
from wavrag.kb import KnowledgeBase, Retrieval
from wavrag.search import expand_similar, remove_overlaps
from wavrag.speech import name_sources, spoken_text
from wavrag.types import (
    Abstention,
    Answer,
    Citation,
    Float32,
    HistoryTurn,
    Hit,
    Query,
    SourceForm,
    ToolCall,
    Usage,
)

NOTHING_FOUND = "Nothing in the knowledge base answers this."
SPOKEN_FLAG = "The sources do not confirm this."  # after a sentence without support
CANDIDATES = 20  # hits to select the context from
UNREAD: SourceForm = "nothing"


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Options of the answers of a `WavRAG`.

    Attributes:
        context: selection of the hits for the generator; None for `EXTRACTIVE_CONTEXT` with a
            generator that quotes and for the defaults of `ContextOptions` with any other.
        min_probability: minimum probability from 0 to 1 that the retrieved passages answer the
            question; 0 for an answer in any case.
        transcribe: transcribe questions and retrieved recordings without a transcript, if the
            generator needs one. The recogniser is English.
    """

    context: ContextOptions | None = None
    min_probability: float = MIN_PROBABILITY
    transcribe: bool = True

    def resolve_context(self, quotes: bool) -> ContextOptions:
        """Context options for a quoting or for a writing generator."""
        return self.context or (EXTRACTIVE_CONTEXT if quotes else ContextOptions())


@dataclass(frozen=True)
class AnswerRequest:
    """One question and the options of its answer."""

    query: Query  # the question
    options: GenerateOptions  # decoding options
    reasoning: ReasoningOptions | None  # reason before answering; None answers at once
    history: Sequence[HistoryTurn]  # earlier turns of the conversation, oldest first
    on_path: PathCallback | None  # called with each reasoning path when it ends
    stop: StopSignal  # cancels the answer
    # search result of the query, if it has been searched already
    retrieval: Retrieval | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _QuestionHits:
    """The hits of a question, best first."""

    hits: tuple[Hit, ...]
    question: str | None  # None for a spoken question without a transcript
    search_query: str | None  # the completed text of a follow-up; None for other questions
    suggestion: str | None  # the text with corrected spelling; None without corrections
    vector: Float32  # unit vector of the query, shape = (dim,)


@dataclass
class _Draft:
    """An answer in progress, filled in by the stages."""

    span: telemetry.AnswerTrace
    timings: dict[str, float] = field(default_factory=dict)
    probability: float = 0.0  # that the hits answer the question
    usage: dict[str, Usage] = field(default_factory=dict)
    abstention: Abstention | None = None
    input: GeneratorInput | None = None
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: ReasoningResult | None = None


class AnswerPipeline:
    """Answers questions from a knowledge base with a generator."""

    def __init__(
        self, kb: KnowledgeBase, generator: generate.Generator, options: AnswerOptions
    ) -> None:
        self._kb = kb
        self._generator = generator
        self._options = options

    def run(self, request: AnswerRequest) -> Generator[str | RetrievalResult | Answer, None, None]:
        """Yield the retrieval result, the text as it is generated, and the checked answer.

        Raises:
            GenerationError: the generator failed; the error carries the `hits` of its input.
        """
        with telemetry.AnswerTrace() as span:
            yield from self._run(request, span)

    def _run(
        self, request: AnswerRequest, span: telemetry.AnswerTrace
    ) -> Generator[str | RetrievalResult | Answer, None, None]:
        draft = _Draft(span)
        with span.activate():
            retrieval = self._retrieve(request, draft)
        draft.probability = self._estimate_answerability(retrieval)
        # Before the generator runs: a question without sources should cost nothing.
        draft.abstention = should_abstain(
            retrieval.hits,
            probability=draft.probability,
            min_probability=self._options.min_probability,
        )
        hits = self._select_context(retrieval.hits)
        timings = dict(draft.timings)
        yield RetrievalResult(retrieval.question, hits, timings, retrieval.suggestion)
        try:
            # A question for a tool needs no sources.
            if (hits and draft.abstention is None) or request.options.uses_tools:
                with span.activate(), telemetry.stage("read"):
                    draft.input = self._prepare_input(request, retrieval.question, hits, draft)
                run_model = self._reason if request.reasoning else self._generate
                yield from run_model(draft.input.messages, request, draft)
        except GenerationError as error:
            if request.stop.is_set:  # a cancelled request fails, and nobody waits for the reason
                return
            error.hits = hits
            raise
        if request.stop.is_set:
            return
        if not draft.text.strip() and not draft.tool_calls:
            yield NOTHING_FOUND
        with span.activate(), telemetry.stage("check"):
            answer = self._check_answer(request, retrieval, hits, draft)
        span.set(
            {"wavrag.found": answer.found, "wavrag.citations": len(answer.citations)},
            {"gen_ai.retrieval.query.text": retrieval.question, "wavrag.answer": answer.text},
        )
        yield answer

    def _retrieve(self, request: AnswerRequest, draft: _Draft) -> _QuestionHits:
        """Search for the question, or for the resolved form of a follow-up."""
        query, retrieval = request.query, request.retrieval
        if retrieval is None and query.text and query.clip is None:
            search_query = resolve_follow_up(query.text, request.history)
            retrieval = self._search(replace(query, text=search_query or query.text), draft)
            hits, suggestion = retrieval.hits[:CANDIDATES], retrieval.suggestion
            return _QuestionHits(hits, query.text, search_query, suggestion, retrieval.vector)
        # A spoken question has to be searched first: its transcript, by which a follow-up is
        # recognised, comes from the embedder's pass over the audio. Another recognition before the
        # search would delay every spoken question, while only follow-ups need a second search.
        if retrieval is None:
            retrieval = self._search(query, draft)
        else:
            draft.timings |= retrieval.timings
        question = retrieval.words
        if self._options.transcribe and (request.history or not self._fits_budget(query)):
            question = self._kb.transcribe_query(query, question)
        search_query = resolve_follow_up(question, request.history) if question else None
        if search_query:
            retrieval = self._search(replace(query, text=search_query, clip=None), draft)
        hits = retrieval.hits[:CANDIDATES]
        return _QuestionHits(hits, question, search_query, retrieval.suggestion, retrieval.vector)

    def _search(self, query: Query, draft: _Draft) -> Retrieval:
        retrieval = self._kb.retrieve(query, CANDIDATES)
        for stage, milliseconds in retrieval.timings.items():
            draft.timings[stage] = draft.timings.get(stage, 0.0) + milliseconds
        return retrieval

    def _estimate_answerability(self, retrieval: _QuestionHits) -> float:
        if self._kb.fusion == "ranks":  # they tell nothing about the strength of a hit
            return NO_ESTIMATE
        question = retrieval.search_query or retrieval.suggestion or retrieval.question
        calibrated = self._kb.embedder.spec.calibrated
        return estimate_answerability(question, retrieval.hits, calibrated=calibrated)

    def _fits_budget(self, query: Query) -> bool:
        """True if the generator takes audio and a clip in the question is short enough."""
        budget = self._generator.spec.audio_budget
        return budget is not None and (
            query.clip is None or query.clip.duration <= budget.max_clip_seconds
        )

    def _select_context(self, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        """Select the hits for the generator."""
        options = self._options.resolve_context(self._generator.spec.quotes)
        # Near-copies with another number or a negation are no duplicates for an answer.
        selected = build_context(remove_overlaps(expand_similar(hits)), options).hits
        ids = {hit.passage.id for hit in selected}
        groups = {
            group.passage.id: tuple(hit for hit in group.similar if hit.passage.id not in ids)
            for group in hits
        }
        return tuple(replace(hit, similar=groups.get(hit.passage.id, ())) for hit in selected)

    def _prepare_input(
        self, request: AnswerRequest, question: str | None, hits: Sequence[Hit], draft: _Draft
    ) -> GeneratorInput:
        """Build the messages: audio within the generator's budget, transcripts for the others."""
        started = time.perf_counter()
        spec = self._generator.spec
        takes_audio = spec.audio_budget is not None
        if spec.quotes:  # it reads transcripts only
            audio = SourceAudio((None,) * len(hits), ("",) * len(hits))
        else:
            audio = load_source_audio(self._kb, hits, decode=takes_audio)
        clips = audio.clips if takes_audio else None
        question_part = QuestionPart(question, request.query.clip)
        history = truncate_history(request.history)

        def build_input(hits: Sequence[Hit]) -> GeneratorInput:
            messages = answer_messages(
                question_part, hits, clips, facts=audio.descriptions, history=history,
                instructions=request.options.instructions, tools=request.options.uses_tools,
            )  # fmt: skip
            return fit_audio(messages, spec.audio_budget, request.query)

        generator_input = build_input(hits)
        if self._options.transcribe:
            # Transcription is slow, so it waits until the budget has decided which recordings go
            # in as audio and need no transcript.
            forms = generator_input.source_forms
            text_only = [forms[number] != "sound" for number in range(1, len(hits) + 1)]
            generator_input = build_input(add_transcripts(self._kb, hits, audio, text_only))
        draft.timings["read"] = 1e3 * (time.perf_counter() - started)
        return generator_input

    def _generate(
        self, messages: Sequence[Message], request: AnswerRequest, draft: _Draft
    ) -> Iterator[str]:
        """Stream the generator's answer."""
        started = time.perf_counter()
        stream = Stream.of(self._generator.stream(messages, request.options))
        with request.stop.notify(stream.close), closing(stream):
            for text in stream:
                if not draft.text:
                    draft.timings["first_piece"] = 1e3 * (time.perf_counter() - started)
                draft.text += text
                yield text
        draft.tool_calls = stream.tool_calls
        draft.timings["generate"] = 1e3 * (time.perf_counter() - started)
        if stream.usage is not None:
            draft.usage["generate"] = stream.usage
        first_piece = draft.timings.get("first_piece")
        draft.span.record_generation(
            self._generator.spec.name, started, first_piece and first_piece / 1e3,
            None if stream.usage is None else (stream.usage.input, stream.usage.output),
        )  # fmt: skip

    def _reason(
        self, messages: Sequence[Message], request: AnswerRequest, draft: _Draft
    ) -> Iterator[str]:
        """Sample reasoning paths, then yield the answer of the best one."""
        assert request.reasoning is not None
        started = time.perf_counter()
        result = reason(
            self._generator,
            messages,
            request.options,
            request.reasoning,
            stop=request.stop,
            on_path=request.on_path,
        )
        draft.reasoning = result
        draft.timings.update(result.timings)
        draft.usage.update(result.usage)
        tokens = [(usage.input, usage.output) for usage in result.usage.values()]
        totals = (sum(read for read, _ in tokens), sum(written for _, written in tokens))
        draft.span.record_generation(
            self._generator.spec.name, started, None, totals if tokens else None
        )
        draft.text = result.paths[result.chosen].answer
        yield draft.text

    def _check_answer(
        self, request: AnswerRequest, retrieval: _QuestionHits, hits: Sequence[Hit], draft: _Draft
    ) -> Answer:
        """Resolve the citation marks, check each sentence, and withhold an unsupported answer."""
        sources = list_sources(draft.input.messages) if draft.input else []
        forms = draft.input.source_forms if draft.input else {}
        # Invented marks go first, so that `attribute` sees their sentences as unmarked.
        parsed = parse_citations(draft.text.strip(), sources)
        cited_text = parse_citations(attribute(parsed.text, sources), sources)
        source_forms: tuple[SourceForm, ...] = tuple(forms[source.number] for source in sources)
        if not sources:  # without an answer, the generator got none of the closest passages
            source_forms = (UNREAD,) * len(hits)
        is_answer = bool(cited_text.text) and not is_refusal(cited_text.text)
        support = check_citations(cited_text.text, sources) if is_answer else ()
        abstention = draft.abstention
        if is_answer and abstention is None:
            abstention = should_abstain(retrieval.hits, support)
        if request.options.tool_results or draft.tool_calls:  # sources cannot support their text
            abstention = None
        withhold = is_answer and abstention is not None
        citations = () if withhold else self._add_times(cited_text.citations, retrieval, draft)
        reasoning = draft.reasoning
        text = NOTHING_FOUND if withhold or not cited_text.text else cited_text.text
        if draft.tool_calls and not cited_text.text:
            text = ""
        support = () if withhold else support
        short_span = None
        if is_answer and not withhold and self._generator.spec.quotes:
            quotes = rank_quotes(retrieval.question, sources, read=True)  # as the generator has
            short_span = find_short_answer(quotes, text)
        return Answer(
            text=text,
            short_span=short_span,
            spoken=spoken_text(flag_unsupported_sentences(text, support, SPOKEN_FLAG)),
            spoken_sources=name_sources(citations),
            found=is_answer and not withhold,
            question=retrieval.question,
            search_query=retrieval.search_query,
            suggestion=retrieval.suggestion,
            citations=citations,
            hits=tuple(source.hit for source in sources) or tuple(hits),
            source_forms=source_forms,
            probability=draft.probability,
            support=support,
            abstention=abstention,
            withheld=cited_text.text if withhold else "",
            generator=self._generator.spec.name,
            paths=reasoning.paths if reasoning else (),
            chosen=reasoning.chosen if reasoning else None,
            chosen_by=reasoning.chosen_by if reasoning else None,
            saved=reasoning.saved if reasoning else 0,
            invented_citations=parsed.invented_count,
            timings=draft.timings,
            usage={
                stage: {"in": tokens.input, "out": tokens.output}
                for stage, tokens in draft.usage.items()
            },
            cost=request.options.cost(draft.usage.values()),
            tool_calls=draft.tool_calls,
        )

    def _add_times(
        self, citations: tuple[Citation, ...], retrieval: _QuestionHits, draft: _Draft
    ) -> tuple[Citation, ...]:
        """Add the seconds of quotes from recordings."""
        if all(citation.passage.start is None for citation in citations):
            return citations
        started = time.perf_counter()
        citations = add_quote_times(self._kb, citations, retrieval.vector)
        draft.timings["times"] = 1e3 * (time.perf_counter() - started)
        return citations
