"""Retriever and tool for LangChain. Needs `wavrag[langchain]`."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import Annotated, Any

from wavrag import Hit, MissingExtraError, WavRAG, WavRAGError

if find_spec("langchain_core") is None:
    raise MissingExtraError("the retriever for LangChain", "langchain")

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import ArgsSchema, BaseTool, ToolException
from pydantic import BaseModel, Field

from wavrag.integrations.passages import (
    Question,
    describe_question,
    format_hits,
    hit_metadata,
    read_tool_query,
)


class WavRAGRetriever(BaseRetriever):
    """Finds passages of recordings and documents for a text or spoken query.

    The metadata of a document have `start` and `end` in seconds and the `speaker`, if it is a part
    of a recording, and `title`, `source`, `location`, `rank` and `score`.

    Attributes:
        rag: the `WavRAG` to search.
        k: number of documents.
        where: filter expression; None for all passages.

    Example:
        >>> retriever = WavRAGRetriever(rag=WavRAG.open("my-kb"), k=4)
        >>> retriever.invoke("Are dogs allowed on the ferry?")
        >>> retriever.invoke(Path("question.wav"), where="year >= 2020")
    """

    rag: WavRAG = Field(exclude=True, repr=False)
    k: int = Field(default=8, ge=1)
    where: str | None = None

    def invoke(
        self, input: Question, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the documents for text, a `Clip`, the `Path` of a recording, or a `Query`.

        Args:
            input: the question.
            config: configuration of the run.
            kwargs: `k` and `where` in place of those of the retriever.

        Raises:
            InputError: the question is empty or unreadable, or the filter is not valid.
        """
        # Callbacks get a text in any case, because they may write it to a log.
        return super().invoke(describe_question(input), config, question=input, **kwargs)

    async def ainvoke(
        self, input: Question, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the documents without blocking the event loop; see `invoke`."""
        return await super().ainvoke(describe_question(input), config, question=input, **kwargs)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        question: Question | None = None,
        k: int | None = None,
        where: str | None = None,
    ) -> list[Document]:
        hits = self.rag.search(
            query if question is None else question, k or self.k, where or self.where
        )
        return [to_document(hit) for hit in hits]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        question: Question | None = None,
        k: int | None = None,
        where: str | None = None,
    ) -> list[Document]:
        hits = await self.rag.asearch(
            query if question is None else question, k or self.k, where or self.where
        )
        return [to_document(hit) for hit in hits]


class ToolArguments(BaseModel):
    """Arguments of `WavRAGTool`, as a model sees them."""

    query: str = Field("", description="the query as text")
    audio: str | None = Field(None, description="the query as a recording: a file in base64")
    where: str | None = Field(None, description="filter, such as: year >= 2020 and speaker = 'Ada'")


class WavRAGTool(BaseTool):
    """Lets a model search recordings and documents; the artifact has the documents.

    Example:
        >>> tool = WavRAGTool(rag=WavRAG.open("my-kb"))
        >>> tool.invoke({"query": "Are dogs allowed on the ferry?"})
    """

    name: str = "search_recordings_and_documents"
    description: str = (
        "Search the user's recordings and documents. Returns passages with their source and"
        " location; times are those in the recording."
    )
    args_schema: Annotated[ArgsSchema | None, Field()] = ToolArguments
    response_format: Any = "content_and_artifact"
    handle_tool_error: Any = True
    rag: WavRAG = Field(exclude=True, repr=False)
    k: int = Field(default=8, ge=1)

    def _run(
        self, query: str = "", audio: str | None = None, where: str | None = None
    ) -> tuple[str, list[Document]]:
        try:
            return _to_result(self.rag.search(read_tool_query(query, audio), self.k, where))
        except WavRAGError as error:
            raise ToolException(str(error)) from error  # becomes the result, for the model

    async def _arun(
        self, query: str = "", audio: str | None = None, where: str | None = None
    ) -> tuple[str, list[Document]]:
        try:
            question = await asyncio.to_thread(read_tool_query, query, audio)
            return _to_result(await self.rag.asearch(question, self.k, where))
        except WavRAGError as error:
            raise ToolException(str(error)) from error


def to_document(hit: Hit) -> Document:
    """The document of a hit."""
    return Document(
        id=hit.passage.id, page_content=hit.passage.text or "", metadata=hit_metadata(hit)
    )


def _to_result(hits: list[Hit]) -> tuple[str, list[Document]]:
    return format_hits(hits), [to_document(hit) for hit in hits]
