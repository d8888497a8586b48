"""`WavRAG`: a knowledge base with a generator."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeAlias

from wavrag import audio, config, generate
from wavrag.answer import (
    AnswerOptions,
    AnswerPipeline,
    AnswerRequest,
    AnswerStream,
    PathCallback,
    ReasoningOptions,
)
from wavrag.arguments import check_type, describe_type
from wavrag.closing import Closing
from wavrag.embed import Embedder
from wavrag.errors import InputError
from wavrag.generate import GenerateOptions, StopSignal, load_generator
from wavrag.kb import (
    AddReport,
    KnowledgeBase,
    KnowledgeBaseView,
    ProgressCallback,
    Removal,
    Retrieval,
    Transcript,
    find_files,
)
from wavrag.outline import SENTENCES, Chapter, Summariser, Summary, extract_summary, read_chapters
from wavrag.rag.calls import AsyncAnswerStream, CallThreads, open_on_thread
from wavrag.search import Reranker
from wavrag.store import StoredDocument
from wavrag.types import Answer, Channels, Clip, Document, HistoryTurn, Hit, Metadata, Query

# A string is text, never a file name: a question must not open files. A `Path` is a recording.
Question: TypeAlias = str | Clip | Path | Query


class WavRAG(Closing):
    """Answers questions from a knowledge base.

    Args:
        kb: the knowledge base.
        generator: the generator.
        options: selection of the context, and minimum cosine of an answer.

    Example:
        >>> with WavRAG.open("my-kb") as rag:
        ...     rag.add("recordings/", "notes.md")
        ...     print(rag.ask("Are dogs allowed on the ferry?").text)
    """

    def __init__(
        self, kb: KnowledgeBase, generator: generate.Generator, options: AnswerOptions | None = None
    ) -> None:
        # Public, so that the server and live turns can use both without another facade.
        self.kb = kb
        self.generator = generator
        self.options = options or AnswerOptions()
        self._threads = CallThreads()

    @classmethod
    def open(
        cls,
        address: str | os.PathLike[str] | None = None,
        *,
        embedder: Embedder | str | None = None,
        generator: generate.Generator | str | None = None,
        reranker: Reranker | str | None = None,
        create: bool = True,
        options: AnswerOptions | None = None,
        blobs: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Open a knowledge base, or create one.

        Args:
            address: folder or URL of the knowledge base; see `KnowledgeBase.open`.
            embedder: see `KnowledgeBase.open`.
            generator: a generator, or a name for `load_generator` (default: `extractive`).
            reranker: see `KnowledgeBase.open`.
            create: see `KnowledgeBase.open`; False for programs that only read.
            options: selection of the context, and minimum cosine of an answer.
            blobs: see `KnowledgeBase.open`.

        Raises:
            WavRAGError: folder, embedder, reranker or generator cannot be used.
        """
        # The generator first: its errors are quick to detect, and leave no new folder behind.
        if generator is None or isinstance(generator, str):
            generator = load_generator(generator or config.DEFAULT_GENERATOR)
        check_type(generator, generate.Generator, "the generator")
        check_type(options, AnswerOptions | None, "options")
        kb = KnowledgeBase.open(
            address, embedder=embedder, create=create, reranker=reranker, blobs=blobs
        )
        return cls(kb, generator, options)

    @classmethod
    async def aopen(
        cls,
        address: str | os.PathLike[str] | None = None,
        *,
        embedder: Embedder | str | None = None,
        generator: generate.Generator | str | None = None,
        reranker: Reranker | str | None = None,
        create: bool = True,
        options: AnswerOptions | None = None,
        blobs: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Open a knowledge base without blocking the event loop; see `open`.

        Example:
            >>> async with await WavRAG.aopen("my-kb") as rag:
            ...     answer = await rag.aask("Are dogs allowed on the ferry?")
        """
        return await open_on_thread(
            lambda: cls.open(
                address, embedder=embedder, generator=generator, reranker=reranker,
                create=create, options=options, blobs=blobs,
            )
        )  # fmt: skip

    def add(
        self,
        *sources: str | os.PathLike[str] | Document,
        globs: Sequence[str] = (),
        metadata: Metadata | None = None,
        channels: Channels = "auto",
        speakers: bool | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> AddReport:
        """Index files, folders and documents; unchanged ones are skipped.

        Args:
            sources: paths or documents.
            globs: patterns for the files in folders; others are not indexed.
            metadata: metadata of every file.
            channels: channels of every recording; see `Document`.
            speakers: True to find out who speaks when; see `KnowledgeBase.add`.
            on_progress: see `KnowledgeBase.add`.

        Returns:
            Ids of added, updated and unchanged documents, and skipped files.
        """
        documents = [source for source in sources if isinstance(source, Document)]
        paths = [source for source in sources if not isinstance(source, Document)]
        files = find_files(paths, globs, metadata, channels)
        report = self.kb.add(
            [*documents, *files.documents], on_progress=on_progress, speakers=speakers
        )
        files.add_to(report)
        return report

    def restrict(self, labels: Collection[str]) -> WavRAG:
        """Return a `WavRAG` over the documents that some access labels may see.

        It shares knowledge base and generator with this one, and need not be closed. See
        `wavrag.kb.KnowledgeBaseView`.

        Example:
            >>> rag.add("contracts/", metadata={"access": "legal"})
            >>> rag.restrict(["legal"]).ask("When does the contract with the port end?")
        """
        return WavRAG(KnowledgeBaseView(self.kb, labels), self.generator, self.options)

    def remove(self, *sources: str | os.PathLike[str]) -> Removal:
        """Remove documents by id, or by the path of a file or folder.

        Raises:
            InputError: one of them is not in the knowledge base; nothing is removed.
        """
        return self.kb.remove_sources(sources)

    def documents(self) -> list[StoredDocument]:
        """Return all documents, ordered by id."""
        return self.kb.documents()

    def transcript(self, document_id: str) -> Transcript:
        """Return the transcript of a recording; see `KnowledgeBase.transcript`."""
        return self.kb.transcript(document_id)

    def search(self, question: Question, k: int = 10, where: str | None = None) -> list[Hit]:
        """Return the best k hits for text, a clip, the path of a recording, or a query."""
        return self.kb.search(as_query(question, where), k)

    async def asearch(self, question: Question, k: int = 10, where: str | None = None) -> list[Hit]:
        """Search on a thread; see `search`."""
        return await self._threads.run("search", lambda: self.search(question, k, where))

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
            question: text, a clip, the path of a recording, or a query.
            where: filter expression for passages.
            options: decoding options.
            reasoning: reason first and choose among several paths; None answers at once.
            on_path: called with each reasoning path when it ends.
            history: earlier turns of the conversation (`Answer.history_turn`), oldest first; they
                complete a follow-up question.

        Raises:
            InputError: the question is empty or unreadable, or the generator cannot reason.
            GenerationError: the generator failed; the error carries the `hits` of its input.

        Example:
            >>> answer = rag.ask("Are dogs allowed on the ferry?")
            >>> for citation in answer.citations:
            ...     print(citation.number, citation.passage.source, citation.quote)
        """
        # A single code path: an answer is a stream read to its end.
        stream = self.stream(
            question, where, options=options, reasoning=reasoning, on_path=on_path, history=history
        )
        return stream.answer

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
        """Stream an answer as it is generated; with reasoning it comes in one string.

        The arguments are those of `ask`, and `retrieval`: a search result for the question, with
        `CANDIDATES` hits if there are as many. Without it, the stream searches.
        """
        check_type(options, GenerateOptions | None, "options")
        check_type(reasoning, ReasoningOptions | None, "reasoning")
        check_type(retrieval, Retrieval | None, "retrieval")
        if options is not None and options.uses_tools:
            _check_tools(self.generator, reasoning)
        request = AnswerRequest(
            as_query(question, where),
            options or GenerateOptions(),
            reasoning,
            _check_history(history),
            on_path,
            StopSignal(),
            retrieval,  # live turns have searched during speech already
        )
        # A pipeline holds no state: one per question keeps concurrent questions apart.
        pipeline = AnswerPipeline(self.kb, self.generator, self.options)
        return AnswerStream(pipeline.run(request), request.stop)

    async def aask(
        self,
        question: Question,
        where: str | None = None,
        *,
        options: GenerateOptions | None = None,
        reasoning: ReasoningOptions | None = None,
        on_path: PathCallback | None = None,
        history: Sequence[HistoryTurn] = (),
    ) -> Answer:
        """Answer a question on a thread; see `ask`. Cancelling the task stops the generation.

        `on_path` is called on another thread.
        """
        stream = await self.astream(
            question, where, options=options, reasoning=reasoning, on_path=on_path, history=history
        )
        return await stream.answer()

    async def astream(
        self,
        question: Question,
        where: str | None = None,
        *,
        options: GenerateOptions | None = None,
        reasoning: ReasoningOptions | None = None,
        on_path: PathCallback | None = None,
        history: Sequence[HistoryTurn] = (),
        retrieval: Retrieval | None = None,
    ) -> AsyncAnswerStream:
        """Stream an answer on threads; see `stream` and `AsyncAnswerStream`."""
        # On a thread, because a question may be the path of a long recording.
        stream = await self._threads.run(
            "search",
            lambda: self.stream(
                question, where, options=options, reasoning=reasoning, on_path=on_path,
                history=history, retrieval=retrieval,
            ),
        )  # fmt: skip
        return AsyncAnswerStream(stream, self._threads)

    def chapters(
        self,
        document_id: str,
        *,
        quotes: bool = False,
        options: GenerateOptions | None = None,
        stop: StopSignal | None = None,
    ) -> tuple[Chapter, ...]:
        """Return the chapters of a recording: those of its file, or else by changes of the topic.

        Titles and summaries are written by a generator that follows instructions; with any other,
        they are phrases and sentences of the recording.

        Args:
            document_id: a recording, or a transcript with times.
            quotes: quote the recording whatever the generator.
            options: decoding options.
            stop: cancels the generator.

        Raises:
            InputError: the document is not in the knowledge base, or a text without times.
            AudioError: the recording was deleted or cannot be read.
            GenerationError: the generator failed.

        Example:
            >>> for chapter in rag.chapters("/talks/ada.mp3"):
            ...     print(chapter.start, chapter.title)
        """
        transcript = self.kb.transcript(document_id)
        writer = None if quotes else self._summariser(options, stop)
        contents = writer.chapters(transcript) if writer else read_chapters(transcript)
        return tuple(content.chapter for content in contents)

    def summary(
        self,
        document_id: str,
        sentences: int = SENTENCES,
        *,
        quotes: bool = False,
        options: GenerateOptions | None = None,
        stop: StopSignal | None = None,
    ) -> Summary:
        """Summarise a recording and its chapters; each sentence has its time in the recording.

        Args:
            document_id: see `chapters`; so are the other arguments and the errors.
            sentences: maximum length of the summary.
            quotes: quote the recording whatever the generator.
            options: decoding options.
            stop: cancels the generator.
        """
        transcript = self.kb.transcript(document_id)
        writer = None if quotes else self._summariser(options, stop)
        if writer is None:
            return extract_summary(transcript, sentences)
        return writer.summary(transcript, sentences)

    def _summariser(
        self, options: GenerateOptions | None, stop: StopSignal | None
    ) -> Summariser | None:
        if not self.generator.spec.follows_instructions:
            return None
        return Summariser(self.generator, options, stop)

    def close(self) -> None:
        """Wait for awaitable calls, close the knowledge base and free the generator's model."""
        self._threads.close()
        self.kb.close()
        self.generator.close()

    async def aclose(self) -> None:
        """Close without blocking the event loop; see `close`."""
        await asyncio.to_thread(self.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()


def as_query(question: Question, where: str | None = None) -> Query:
    """Convert a question of any form to a query.

    Args:
        question: text, a clip, the path of a recording, or a query.
        where: filter expression; it replaces the filter of the query.

    Raises:
        InputError: it is none of these.
        AudioError: the recording cannot be read.
    """
    value: Any = question  # callers without a type checker pass anything
    match value:
        case Query():
            return value if where is None else replace(value, where=where)
        case str():
            return Query(text=value, where=where)
        case Clip():
            return Query(clip=value, where=where)
        case os.PathLike():
            return Query(clip=audio.load(value), where=where)
    raise InputError(
        f"the question is {describe_type(value)}: give a string, a Clip, the Path of a recording,"
        " or a Query"
    )


def _check_tools(generator: generate.Generator, reasoning: ReasoningOptions | None) -> None:
    if not generator.spec.calls_tools:
        raise InputError(
            f"the generator {generator.spec.name} calls no tools: leave out tools, or use a model"
            " that calls them, such as openai:MODEL"
        )
    if reasoning is not None:
        raise InputError("an answer with tools has no reasoning: leave out one of them")


def _check_history(history: Any) -> tuple[HistoryTurn, ...]:
    if not isinstance(history, Sequence) or not all(
        isinstance(turn, HistoryTurn) for turn in history
    ):
        raise InputError("the history is no list of HistoryTurn: give those of earlier answers")
    return tuple(history)
