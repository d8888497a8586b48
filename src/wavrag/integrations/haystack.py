"""Document store and retriever for Haystack. Needs `wavrag[haystack]`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from wavrag import Document as SourceDocument
from wavrag import InputError, MissingExtraError, Query, StoredDocument, WavRAG
from wavrag.audio import load

if find_spec("haystack") is None:
    raise MissingExtraError("the components for Haystack", "haystack")

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.dataclasses import ByteStream
from haystack.document_stores.errors import DocumentStoreError, DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils.filters import document_matches_filter

from wavrag.integrations.haystack_filters import to_where
from wavrag.integrations.passages import RecordingFile, hit_metadata, load_question


class WavRAGDocumentStore:
    """The documents of a knowledge base.

    WavRAG embeds and splits them itself: embeddings are neither needed nor kept. The metadata are
    strings, numbers and booleans.

    Args:
        kb: folder or URL of a knowledge base, created if there is none, or a `WavRAG`.

    Example:
        >>> store = WavRAGDocumentStore("my-kb")
        >>> store.write_documents([Document(content="Dogs travel free.", meta={"year": 2024})])
        1
    """

    def __init__(self, kb: str | os.PathLike[str] | WavRAG) -> None:
        self.rag = kb if isinstance(kb, WavRAG) else WavRAG.open(kb)

    def to_dict(self) -> dict[str, Any]:
        """The address of the knowledge base, for `from_dict`."""
        return default_to_dict(self, kb=self.rag.kb.address)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Open the store of `to_dict`."""
        store: Self = default_from_dict(cls, data)
        return store

    def count_documents(self) -> int:
        """The number of documents."""
        return len(self.rag.documents())

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return the matching documents as a whole, ordered by id.

        Filters apply to the id and the metadata. The content is that of the passages, with an empty
        line between them.

        Raises:
            FilterError: the filter is not valid.
        """
        return [
            Document(id=stored.id, content=self._read_text(stored), meta=dict(stored.metadata))
            for stored in self.rag.documents()
            if not filters or document_matches_filter(filters, _without_content(stored))
        ]

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Add documents with text, or with a recording as their blob.

        Args:
            documents: the documents.
            policy: for known ids; `NONE` fails.

        Raises:
            ValueError: these are no documents, or their metadata have other values.
            DuplicateDocumentError: a document is known.
            DocumentStoreError: a document cannot be indexed; the others are.
        """
        if not isinstance(documents, list) or not all(isinstance(d, Document) for d in documents):
            raise ValueError("write_documents takes a list of Document of Haystack")
        new = {document.id: document for document in documents}
        if policy is not DuplicatePolicy.OVERWRITE:
            duplicates = {stored.id for stored in self.rag.documents()} & new.keys()
            if policy is not DuplicatePolicy.SKIP and (duplicates or len(new) < len(documents)):
                raise DuplicateDocumentError(
                    f"there are documents with the ids {sorted(duplicates)}"
                )
            new = {id: document for id, document in new.items() if id not in duplicates}
        report = self.rag.add(*map(_to_source, new.values()))
        if report.skipped:
            raise DocumentStoreError("; ".join(f"{id}: {why}" for id, why in report.skipped))
        return len(documents) if policy is DuplicatePolicy.OVERWRITE else len(new)

    def delete_documents(self, document_ids: Sequence[str]) -> None:
        """Delete documents; unknown ids are ignored."""
        self.rag.kb.remove(list(document_ids))

    def _read_text(self, stored: StoredDocument) -> str:
        return "\n\n".join(p.text or "" for p in self.rag.kb.passages(stored.id))


@component
class WavRAGHybridRetriever:
    """Finds passages of a `WavRAGDocumentStore` for text or speech, by meaning and by words.

    The metadata of a document have `start` and `end` in seconds and the `speaker`, if it is a part
    of a recording, and `document_id`, `title`, `source` and `location`.

    Args:
        document_store: the store.
        filters: filter of Haystack for the metadata; `meta.start`, `meta.speaker` and others of
            `where` are those of the passage.
        top_k: number of passages.

    Example:
        >>> retriever = WavRAGHybridRetriever(WavRAGDocumentStore("my-kb"), top_k=4)
        >>> retriever.run(audio="question.wav")["documents"]
    """

    def __init__(
        self,
        document_store: WavRAGDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 8,
    ) -> None:
        if not isinstance(document_store, WavRAGDocumentStore):
            raise ValueError("document_store must be a WavRAGDocumentStore")
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k

    def to_dict(self) -> dict[str, Any]:
        """The component as JSON data."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Create the component of `to_dict`."""
        parameters = data["init_parameters"]
        store = WavRAGDocumentStore.from_dict(parameters["document_store"])
        retriever: Self = default_from_dict(
            cls, data | {"init_parameters": parameters | {"document_store": store}}
        )
        return retriever

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str | None = None,
        audio: str | Path | ByteStream | None = None,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Return the passages for a question.

        Args:
            query: the question as text.
            audio: the question as a recording: a path or the file itself.
            filters: in place of those of the component.
            top_k: in place of that of the component.

        Raises:
            InputError: there is no question, or the recording is not readable.
            FilterError: the filter is not valid.
        """
        clip = None
        if audio is not None:
            file = RecordingFile(audio.data) if isinstance(audio, ByteStream) else Path(audio)
            clip = load_question(file)
        if clip is None and not query:
            raise InputError("there is no question: give query, audio, or both")
        filters = filters or self.filters
        where = to_where(filters) if filters else None
        hits = self.document_store.rag.search(
            Query(query or None, clip, where), top_k or self.top_k
        )
        return {
            "documents": [
                Document(
                    id=hit.passage.id, content=hit.passage.text or "", score=hit.score,
                    meta=hit_metadata(hit),
                )
                for hit in hits
            ]
        }  # fmt: skip


def _without_content(stored: StoredDocument) -> Document:
    return Document(id=stored.id, meta=dict(stored.metadata))


def _to_source(document: Document) -> SourceDocument:
    metadata = {key: value for key, value in document.meta.items() if value is not None}
    for key, value in metadata.items():
        if not isinstance(value, str | int | float | bool):
            raise ValueError(f"{document.id}: {key} is no string, number or boolean: leave it out")
    clip = load(RecordingFile(document.blob.data)) if document.blob else None
    title = str(metadata.get("title", ""))
    return SourceDocument(document.id, document.content, clip, title=title, metadata=metadata)
