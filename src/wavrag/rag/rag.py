"""`WavRAG`: a knowledge base that answers.

with WavRAG.open("my-kb") as rag:
    rag.add("recordings/", "notes.md")
    print(rag.ask("When does the ferry leave?").text)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Self

from wavrag import config, generate
from wavrag.answer import (
    AnswerOptions,
    AnswerPipeline,
    AnswerRequest,
    AnswerStream,
    PathCallback,
    ReasoningOptions,
)
from wavrag.closing import Closing
from wavrag.embed import Embedder
from wavrag.generate import GenerateOptions, StopSignal, load_generator
from wavrag.kb import AddReport, KnowledgeBase, ProgressCallback, Retrieval, find_files
from wavrag.rag.question import Question, as_query
from wavrag.types import Answer, Document, HistoryTurn, Hit, Metadata


class WavRAG(Closing):
    """A knowledge base and a generator.

    Args:
        kb: what is asked.
        generator: what answers.
        options: what the generator is given, and what becomes of what it writes.
    """

    def __init__(
        self,
        kb: KnowledgeBase,
        generator: generate.Generator,
        options: AnswerOptions | None = None,
    ) -> None:
        self.kb = kb
        self.generator = generator
        self.options = options or AnswerOptions()

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str] | None = None,
        *,
        embedder: Embedder | str | None = None,
        generator: generate.Generator | str | None = None,
        create: bool = True,
        options: AnswerOptions | None = None,
    ) -> Self:
        """Open the knowledge base of a folder, or make one there.

        Args:
            directory: its folder; `WAVRAG_KB` or `.wavrag` by default.
            embedder: see `KnowledgeBase.open`.
            generator: one, or the name of one as `load_generator` takes it; `extractive` by
                default.
            create: make a knowledge base where there is none.
            options: what the generator is given, and what becomes of what it writes.

        Raises:
            WavRAGError: the folder, the embedder or the generator cannot be used.
        """
        if generator is None or isinstance(generator, str):
            generator = load_generator(generator or config.DEFAULT_GENERATOR)
        return cls(
            KnowledgeBase.open(directory, embedder=embedder, create=create), generator, options
        )

    def add(
        self,
        *things: str | os.PathLike[str] | Document,
        globs: Sequence[str] = (),
        metadata: Metadata | None = None,
        on_progress: ProgressCallback | None = None,
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
        *,
        options: GenerateOptions | None = None,
        reasoning: ReasoningOptions | None = None,
        on_path: PathCallback | None = None,
        history: Sequence[HistoryTurn] = (),
    ) -> Answer:
        """Answer a question from the knowledge base, with citations.

        Args:
            question: words, a clip, a recording's path, or a query of both.
            where: filter expression; only passages that pass it are used.
            options: how to write.
            reasoning: think first, and choose among several paths; None writes the answer at once.
            on_path: told of each path when it ends.
            history: earlier turns of the conversation, the oldest first (`Answer.turn`); a
                follow-up is searched for with the question that it leans on.

        Raises:
            InputError: the question is empty or cannot be read, or the generator cannot reason.
            GenerationError: the generator failed; its `hits` are what it was given.
        """
        return self.stream(
            question,
            where,
            options=options,
            reasoning=reasoning,
            on_path=on_path,
            history=history,
        ).answer

    def stream(
        self,
        question: Question,
        where: str | None = None,
        *,
        options: GenerateOptions | None = None,
        reasoning: ReasoningOptions | None = None,
        on_path: PathCallback | None = None,
        history: Sequence[HistoryTurn] = (),
        retrieval: Retrieval | None = None,
    ) -> AnswerStream:
        """Like `ask`, with the answer in pieces as it is written; in one piece after reasoning.

        Args:
            question: see `ask`, as the others.
            where: filter expression.
            options: how to write.
            reasoning: think first.
            on_path: told of each path.
            history: earlier turns.
            retrieval: what was found for the question, at least `CANDIDATES` hits where there are
                so many; None retrieves.
        """
        request = AnswerRequest(
            as_query(question, where),
            options or GenerateOptions(),
            reasoning,
            tuple(history),
            on_path,
            StopSignal(),
            retrieval,
        )
        pipeline = AnswerPipeline(self.kb, self.generator, self.options)
        return AnswerStream(pipeline.run(request), request.stop)

    def close(self) -> None:
        """Release what is held, the generator's model too."""
        self.kb.close()
        self.generator.close()
