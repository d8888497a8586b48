"""`WavRAG`: a knowledge base that answers.

with WavRAG.open("my-kb") as rag:
    rag.add("recordings/", "notes.md")
    print(rag.ask("When does the ferry leave?").text)
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from wavrag import audio, config
from wavrag.embed import Embedder
from wavrag.generate import (
    GenerateOptions,
    Generator,
    QuestionPart,
    answer_messages,
    attribute,
    declines,
    load_generator,
    parse_citations,
    sources_of,
)
from wavrag.kb import AddReport, KnowledgeBase, ProgressSink, clip_of, find_files
from wavrag.search import drop_overlapping
from wavrag.types import Answer, Clip, Document, Hit, Metadata, Query

Question = str | Clip | Path | Query  # a string is words; a pathlib.Path names a recording

NOTHING_FOUND = "Nothing in the knowledge base answers this."
SOURCES = 5  # passages that a generator is given
CANDIDATES = 20  # hits among which those that repeat a better one are dropped


class AnswerStream:
    """An answer while it is written: iterate over its pieces, then read `answer`.

    Pieces are as the generator writes them. The text of `answer` may differ from them in its
    citation marks: marks that name no source are gone, and sentences without one may have theirs.
    """

    def __init__(self, pieces: Iterator[str | Answer]) -> None:
        self._pieces = pieces
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            if isinstance(piece, Answer):
                self._answer = piece
            else:
                yield piece

    @property
    def answer(self) -> Answer:
        """The whole answer with its citations; reads what is left of the stream."""
        for _ in self:
            pass
        assert self._answer is not None, "the stream ends with an answer or an error"
        return self._answer


class WavRAG:
    """A knowledge base and a generator."""

    def __init__(self, kb: KnowledgeBase, generator: Generator) -> None:
        self.kb = kb
        self.generator = generator

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str] | None = None,
        *,
        embedder: Embedder | str | None = None,
        generator: Generator | str | None = None,
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
    ) -> Answer:
        """Answer a question from the knowledge base, with citations.

        Args:
            question: words, a clip, a recording's path, or a query of both.
            where: filter expression; only passages that pass it are used.
            options: how to write.

        Raises:
            InputError: the question is empty or cannot be read.
            GenerationError: the generator failed.
        """
        return self.stream(question, where, options).answer

    def stream(
        self,
        question: Question,
        where: str | None = None,
        options: GenerateOptions | None = None,
    ) -> AnswerStream:
        """Like `ask`, with the answer in pieces as it is written."""
        query = as_query(question, where)
        return AnswerStream(self._pieces(query, options or GenerateOptions()))

    def _pieces(self, query: Query, options: GenerateOptions) -> Iterator[str | Answer]:
        retrieval = self.kb.retrieve(query, CANDIDATES)
        hits = drop_overlapping(retrieval.hits)[:SOURCES]
        started = time.perf_counter()
        clips = self._clips(hits) if "audio" in self.generator.modalities else None
        messages = answer_messages(QuestionPart(retrieval.words, query.clip), hits, clips)
        pieces: list[str] = []
        timings = dict(retrieval.timings)
        for piece in self.generator.stream(messages, options) if hits else ():
            if not pieces:
                timings["first_piece"] = 1e3 * (time.perf_counter() - started)
            pieces.append(piece)
            yield piece
        timings["generate"] = 1e3 * (time.perf_counter() - started)
        text = "".join(pieces).strip()
        if not text:
            yield NOTHING_FOUND
        sources = sources_of(messages)
        cited = parse_citations(attribute(text, sources), sources)
        yield Answer(
            text=cited.text or NOTHING_FOUND,
            found=bool(text) and not declines(text),
            question=retrieval.words,
            citations=cited.citations,
            hits=tuple(hits),
            generator=self.generator.name,
            invented_citations=cited.invented,
            timings=timings,
        )

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
