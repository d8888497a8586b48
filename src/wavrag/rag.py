"""`WavRAG`: a knowledge base that answers.

with WavRAG.open("my-kb") as rag:
    rag.add("recordings/", "notes.md")
    print(rag.ask("When does the ferry leave?").text)
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from wavrag import audio, config, generate
from wavrag.embed import Embedder
from wavrag.errors import GenerationError
from wavrag.generate import (
    GenerateOptions,
    Message,
    QuestionPart,
    answer_messages,
    attribute,
    declines,
    load_generator,
    parse_citations,
    sources_of,
)
from wavrag.generate.base import Stop, Stream
from wavrag.generate.context import QUOTED, ContextOptions, build_context
from wavrag.generate.reasoning import Reasoned, ReasoningOptions, reason
from wavrag.generate.sampling import PathSink
from wavrag.kb import AddReport, KnowledgeBase, ProgressSink, clip_of, find_files
from wavrag.search import drop_overlapping
from wavrag.types import Answer, Clip, Document, Hit, Metadata, Query, Usage

Question = str | Clip | Path | Query  # a string is words; a pathlib.Path names a recording

NOTHING_FOUND = "Nothing in the knowledge base answers this."
CANDIDATES = 20  # hits among which those that a generator is given are chosen


@dataclass(frozen=True)
class _Asked:
    """How an answer is to be written."""

    options: GenerateOptions
    reasoning: ReasoningOptions | None
    on_path: PathSink | None
    stop: Stop


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer is to rest on, before it is written.

    Attributes:
        question: the question in words: as typed, or as the embedder recognised it, if it did.
        hits: the passages that the generator is given, best first.
        timings: milliseconds for each stage so far.
    """

    question: str | None
    hits: tuple[Hit, ...]
    timings: dict[str, float]


@dataclass
class _Made:
    """What was written for an answer, and what it took."""

    timings: dict[str, float]
    text: str = ""
    usage: dict[str, Usage] = field(default_factory=dict)
    reasoned: Reasoned | None = None


class AnswerStream:
    """An answer while it is written: iterate over its pieces, then read `answer`.

    Pieces are as the generator writes them. The text of `answer` may differ from them in its
    citation marks: marks that name no source are gone, and sentences without one may have theirs.
    """

    def __init__(self, pieces: Generator[str | Found | Answer, None, None], stop: Stop) -> None:
        self._pieces = pieces
        self._stop = stop
        self._found: Found | None = None
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            match piece:
                case Found():
                    self._found = piece
                case Answer():
                    self._answer = piece
                case _:
                    yield piece

    def close(self) -> None:
        """Stop all that is written for the answer, from any thread.

        A thread that waits for a piece finds the stream ended. What was asked of a server is
        cancelled there.
        """
        self._stop.ask()
        try:
            self._pieces.close()
        except ValueError:
            return  # another thread is in it, and ends it

    @property
    def found(self) -> Found:
        """What the answer is to rest on; searches now if nothing of the stream was read before.

        Raises:
            GenerationError: the stream was closed before.
        """
        if self._found is None:
            first = next(self._pieces, None)
            if not isinstance(first, Found):
                raise GenerationError("the stream was closed before anything was found: ask again")
            self._found = first
        return self._found

    @property
    def answer(self) -> Answer:
        """The whole answer with its citations; reads what is left of the stream.

        Raises:
            GenerationError: the generator failed, or the stream was closed before its end.
        """
        for _ in self:
            pass
        if self._answer is None:
            raise GenerationError("the stream was closed before its answer was there: ask again")
        return self._answer


class WavRAG:
    """A knowledge base and a generator."""

    def __init__(self, kb: KnowledgeBase, generator: generate.Generator) -> None:
        self.kb = kb
        self.generator = generator

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str] | None = None,
        *,
        embedder: Embedder | str | None = None,
        generator: generate.Generator | str | None = None,
        create: bool = True,
    ) -> Self:
        """Open the knowledge base of a folder, or make one there.

        Args:
            directory: its folder; `WAVRAG_KB` or `.wavrag` by default.
            embedder: see `KnowledgeBase.open`.
            generator: one, or the name of one as `load_generator` takes it; `extractive` by
                default.
            create: make a knowledge base where there is none.

        Raises:
            WavRAGError: the folder, the embedder or the generator cannot be used.
        """
        if generator is None or isinstance(generator, str):
            generator = load_generator(generator or config.DEFAULT_GENERATOR)
        return cls(KnowledgeBase.open(directory, embedder=embedder, create=create), generator)

    def add(
        self,
        *things: str | os.PathLike[str] | Document,
        globs: Sequence[str] = (),
        metadata: Metadata | None = None,
        on_progress: ProgressSink | None = None,
    ) -> AddReport:
        """Add files, folders and documents; what has not changed is left as it is.

        Args:
            things: paths, or documents.
            globs: of the files in folders, only those that match one of these.
            metadata: given to every file.
            on_progress: see `KnowledgeBase.add`.

        Returns:
            What was added, updated, unchanged and skipped.
        """
        documents = [thing for thing in things if isinstance(thing, Document)]
        paths = [thing for thing in things if not isinstance(thing, Document)]
        found = find_files(paths, globs, metadata)
        report = self.kb.add([*documents, *found.documents], on_progress=on_progress)
        report.skipped[:0] = found.skipped
        return report

    def search(self, question: Question, k: int = 10, where: str | None = None) -> list[Hit]:
        """The best k passages for words, a clip, a recording's path, or a query of both."""
        return self.kb.search(as_query(question, where), k)

    def ask(
        self,
        question: Question,
        where: str | None = None,
        options: GenerateOptions | None = None,
        reasoning: ReasoningOptions | None = None,
        on_path: PathSink | None = None,
    ) -> Answer:
        """Answer a question from the knowledge base, with citations.

        Args:
            question: words, a clip, a recording's path, or a query of both.
            where: filter expression; only passages that pass it are used.
            options: how to write.
            reasoning: think first, and choose among several paths; None writes the answer at once.
            on_path: told of each path when it ends.

        Raises:
            InputError: the question is empty or cannot be read, or the generator cannot reason.
            GenerationError: the generator failed; its `hits` are what was found.
        """
        return self.stream(question, where, options, reasoning, on_path).answer

    def stream(
        self,
        question: Question,
        where: str | None = None,
        options: GenerateOptions | None = None,
        reasoning: ReasoningOptions | None = None,
        on_path: PathSink | None = None,
    ) -> AnswerStream:
        """Like `ask`, with the answer in pieces as it is written; in one piece after reasoning."""
        query = as_query(question, where)
        asked = _Asked(options or GenerateOptions(), reasoning, on_path, Stop())
        return AnswerStream(self._pieces(query, asked), asked.stop)

    def _pieces(self, query: Query, asked: _Asked) -> Generator[str | Found | Answer, None, None]:
        retrieval = self.kb.retrieve(query, CANDIDATES)
        given = QUOTED if self.generator.name == "extractive" else ContextOptions()
        hits = list(build_context(drop_overlapping(retrieval.hits), given).hits)
        yield Found(retrieval.words, tuple(hits), dict(retrieval.timings))
        clips = self._clips(hits) if "audio" in self.generator.modalities else None
        messages = answer_messages(QuestionPart(retrieval.words, query.clip), hits, clips)
        made = _Made(timings=dict(retrieval.timings))
        try:
            if hits:
                yield from (self._reason if asked.reasoning else self._write)(messages, asked, made)
        except GenerationError as error:
            if asked.stop.asked:
                return
            error.hits = tuple(hits)
            raise
        if asked.stop.asked:
            return
        text = made.text.strip()
        if not text:
            yield NOTHING_FOUND
        sources = sources_of(messages)
        cited = parse_citations(attribute(text, sources), sources)
        reasoned = made.reasoned
        yield Answer(
            text=cited.text or NOTHING_FOUND,
            found=bool(text) and not declines(text),
            question=retrieval.words,
            citations=cited.citations,
            hits=tuple(hits),
            generator=self.generator.name,
            paths=reasoned.paths if reasoned else (),
            chosen=reasoned.chosen if reasoned else None,
            chosen_by=reasoned.chosen_by if reasoned else None,
            saved=reasoned.saved if reasoned else 0,
            invented_citations=cited.invented,
            timings=made.timings,
            usage={stage: {"in": it.input, "out": it.output} for stage, it in made.usage.items()},
            cost=asked.options.cost(made.usage.values()),
        )

    def _write(self, messages: Sequence[Message], asked: _Asked, made: _Made) -> Iterator[str]:
        """The answer as the generator writes it."""
        started = time.perf_counter()
        pieces = Stream.of(self.generator.stream(messages, asked.options))
        with asked.stop.tells(pieces.close), closing(pieces):
            for piece in pieces:
                if not made.text:
                    made.timings["first_piece"] = 1e3 * (time.perf_counter() - started)
                made.text += piece
                yield piece
        made.timings["generate"] = 1e3 * (time.perf_counter() - started)
        if pieces.usage is not None:
            made.usage["generate"] = pieces.usage

    def _reason(self, messages: Sequence[Message], asked: _Asked, made: _Made) -> Iterator[str]:
        """The answer that was chosen among paths of reasoning."""
        assert asked.reasoning is not None
        made.reasoned = reason(
            self.generator,
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

    def _clips(self, hits: Sequence[Hit]) -> list[Clip | None]:
        """The sound of each hit that is a recording."""
        rate = self.kb.embedder.spec.sampling_rate or 16_000
        return [
            clip_of(hit.passage, rate) if hit.passage.modality == "audio" else None for hit in hits
        ]

    def close(self) -> None:
        """Release what is held, the generator's model too."""
        self.kb.close()
        close = getattr(self.generator, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def as_query(question: Question, where: str | None = None) -> Query:
    """A question of any kind as a query; `where` replaces the query's own filter.

    Raises:
        AudioError: the recording that a path names cannot be read.
    """
    match question:
        case Query():
            return question if where is None else Query(question.text, question.clip, where)
        case str():
            return Query(text=question, where=where)
        case Clip():
            return Query(clip=question, where=where)
        case _:
            return Query(clip=audio.load(question), where=where)
