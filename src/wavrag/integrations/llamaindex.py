"""Retriever, reader and tool for LlamaIndex. Needs `wavrag[llamaindex]`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from wavrag import Hit, InputError, MissingExtraError, WavRAG, WavRAGError

if find_spec("llama_index") is None:
    raise MissingExtraError("the retriever for LlamaIndex", "llamaindex")

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document, NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool

from wavrag.integrations.passages import (
    Question,
    describe_question,
    format_hits,
    hit_metadata,
    passage_metadata,
    read_tool_query,
)

# Of the metadata, models and embedders see these alone.
_VISIBLE = ("title", "location", "speaker")


class AudioQueryBundle(QueryBundle):
    """A spoken question: a `Clip`, the `Path` of a recording, or a `Query`.

    Attributes:
        question: the question.
    """

    def __init__(self, question: Question) -> None:
        super().__init__(describe_question(question))
        self.question = question


class WavRAGIndexRetriever(BaseRetriever):
    """Finds passages of recordings and documents for a text or spoken question.

    The metadata of a node have `start` and `end` in seconds and the `speaker`, if it is a part of a
    recording, and `document_id`, `title`, `source` and `location`.

    Args:
        rag: the `WavRAG` to search.
        k: number of nodes.
        where: filter expression; None for all passages.

    Example:
        >>> retriever = WavRAGIndexRetriever(WavRAG.open("my-kb"), k=4)
        >>> retriever.retrieve("Are dogs allowed on the ferry?")
        >>> retriever.retrieve(AudioQueryBundle(Path("question.wav")))
    """

    def __init__(self, rag: WavRAG, k: int = 8, where: str | None = None) -> None:
        super().__init__()
        self.rag, self.k, self.where = rag, k, where

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self.rag.search(_question_of(query_bundle), self.k, self.where)
        return [to_node(hit) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = await self.rag.asearch(_question_of(query_bundle), self.k, self.where)
        return [to_node(hit) for hit in hits]


class WavRAGReader(BaseReader):
    """Reads the passages of a knowledge base as documents, for an index of LlamaIndex.

    Example:
        >>> documents = WavRAGReader(WavRAG.open("my-kb")).load_data()

    Args:
        rag: the `WavRAG` to read from.
    """

    def __init__(self, rag: WavRAG) -> None:
        self.rag = rag

    def lazy_load_data(
        self, document_ids: Iterable[str] | None = None, **_: Any
    ) -> Iterable[Document]:
        """Yield a document for each passage, with its times and speaker.

        Args:
            document_ids: ids of documents of the knowledge base; None for all.

        Raises:
            InputError: a document is not in the knowledge base.
        """
        ids = [d.id for d in self.rag.documents()] if document_ids is None else document_ids
        for id in ids:
            passages = self.rag.kb.passages(id)
            if not passages:
                raise InputError(f"there is no document {id}: see WavRAG.documents()")
            for passage in passages:
                if passage.text:  # a sound without speech has none
                    yield Document(
                        id_=passage.id, text=passage.text, **_metadata(passage_metadata(passage))
                    )


def create_search_tool(
    rag: WavRAG, k: int = 8, name: str = "search_recordings_and_documents"
) -> FunctionTool:
    """Create a tool for models to search recordings and documents.

    Args:
        rag: the `WavRAG` to search.
        k: number of passages.
        name: name of the tool.
    """

    def search(query: str = "", audio: str = "", where: str = "") -> str:
        """Search the user's recordings and documents for a query.

        Returns passages with their source and location; times are those in the recording. Give the
        query as text, or audio: a recording in base64. A filter is such as: year >= 2020 and
        speaker = 'Ada'
        """
        try:
            return format_hits(rag.search(read_tool_query(query, audio), k, where or None))
        except WavRAGError as error:
            return f"error: {error}"  # for the model, which can correct its call

    return FunctionTool.from_defaults(search, name=name)


def to_node(hit: Hit) -> NodeWithScore:
    """The node of a hit."""
    passage = hit.passage
    node = TextNode(id_=passage.id, text=passage.text or "", **_metadata(hit_metadata(hit)))
    return NodeWithScore(node=node, score=hit.score)


def _metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    hidden = [key for key in metadata if key not in _VISIBLE]
    return {
        "metadata": metadata,
        "excluded_embed_metadata_keys": hidden,
        "excluded_llm_metadata_keys": hidden,
    }


def _question_of(bundle: QueryBundle) -> Question:
    return bundle.question if isinstance(bundle, AudioQueryBundle) else bundle.query_str
