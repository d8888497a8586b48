"""The adapter of Haystack, with the kit `haystack.testing`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream
from haystack.document_stores.errors import DocumentStoreError, DuplicateDocumentError
from haystack.errors import FilterError
from haystack.testing.document_store import DocumentStoreBaseTests, create_filterable_docs
from haystack.utils.filters import document_matches_filter

from serving import CAPTIONS, TONE
from wavrag import KnowledgeBase, WavRAG
from wavrag.audio import wav_bytes, write_wav
from wavrag.embed import FakeEmbedder
from wavrag.errors import InputError
from wavrag.generate import FakeGenerator
from wavrag.integrations.haystack import WavRAGDocumentStore, WavRAGHybridRetriever
from wavrag.integrations.haystack_filters import to_where
from wavrag.store import MemoryStore


def open_rag(folder: Path) -> WavRAG:
    embedder = FakeEmbedder()
    kb = KnowledgeBase(folder, embedder, MemoryStore(embedder.spec.dim))
    return WavRAG(kb, FakeGenerator())


@pytest.fixture
def document_store(tmp_path: Path) -> Iterator[WavRAGDocumentStore]:
    with open_rag(tmp_path) as rag:
        yield WavRAGDocumentStore(rag)


class TestDocumentStoreKit(DocumentStoreBaseTests):
    @pytest.fixture
    def document_store(self, tmp_path: Path) -> Iterator[WavRAGDocumentStore]:
        with open_rag(tmp_path) as rag:
            yield WavRAGDocumentStore(rag)

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        # The store has embeddings of its own, and its order is that of the ids.
        assert [(d.id, d.content, d.meta) for d in received] == [
            (d.id, d.content, d.meta) for d in sorted(expected, key=lambda d: d.id)
        ]

    def test_write_documents(self, document_store: WavRAGDocumentStore) -> None:
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])
        self.assert_documents_are_equal(document_store.filter_documents(), [document])


FILTERS = (
    {"field": "meta.number", "operator": ">", "value": -5},
    {"field": "meta.number", "operator": "!=", "value": 2},
    {"field": "meta.number", "operator": "==", "value": None},
    {"field": "number", "operator": "!=", "value": None},
    {"field": "meta.chapter", "operator": "in", "value": ["intro", "it's"]},
    {"field": "meta.chapter", "operator": "not in", "value": ["intro"]},
    {"field": "meta.chapter", "operator": "not in", "value": []},
    {"field": "meta.no_embedding", "operator": "==", "value": True},
    {"operator": "NOT", "conditions": [
        {"field": "meta.number", "operator": "<=", "value": 2.5},
        {"operator": "OR", "conditions": [
            {"field": "meta.name", "operator": "==", "value": "name_0"},
            {"field": "meta.name", "operator": "==", "value": "name_1"},
        ]},
    ]},
)  # fmt: skip


def test_the_retriever_filters_as_the_store_does(document_store: WavRAGDocumentStore) -> None:
    documents = create_filterable_docs()
    assert document_store.write_documents(documents) == len(documents)
    retriever = WavRAGHybridRetriever(document_store, top_k=100)
    for filters in FILTERS:
        expected = {d.id for d in documents if document_matches_filter(filters, d)}
        assert {d.id for d in document_store.filter_documents(filters)} == expected != set()
        hits = retriever.run("foo bar document", filters=filters)["documents"]
        assert {hit.meta["document_id"] for hit in hits} == expected
    for filters in (
        {"field": "meta.a"}, {"field": "meta.a", "operator": "~", "value": 1},
        {"operator": "XOR", "conditions": [FILTERS[0]]}, {"operator": "AND", "conditions": []},
        {"field": "meta.a", "operator": ">", "value": None},
        {"field": "meta.a", "operator": "in", "value": 3},
    ):  # fmt: skip
        with pytest.raises(FilterError):
            to_where(filters)


def test_passages_have_times_and_speakers(
    document_store: WavRAGDocumentStore, tmp_path: Path
) -> None:
    path = tmp_path / "harbour.vtt"
    path.write_text(CAPTIONS)
    document_store.rag.add(path, metadata={"year": 2024})
    pipeline = Pipeline()
    pipeline.add_component("retriever", WavRAGHybridRetriever(document_store, top_k=1))
    (hit,) = pipeline.run({"retriever": {"query": "harbour dusk"}})["retriever"]["documents"]
    assert (hit.meta["start"], hit.meta["end"], hit.meta["speaker"]) == (5.0, 9.0, "Bob")
    assert (hit.meta["year"], hit.meta["title"], hit.score) == (2024, "harbour", hit.meta["score"])
    question, file = tmp_path / "question.wav", ByteStream(wav_bytes(TONE))
    write_wav(question, TONE)
    tone = Document(id="tone", blob=file, meta={"year": 2025})
    assert document_store.write_documents([tone]) == 1
    retriever = WavRAGHybridRetriever(document_store, top_k=2)
    for audio in (str(question), question, file):
        documents = retriever.run(audio=audio)["documents"]
        assert {document.meta["document_id"] for document in documents} == {"tone", str(path)}
    with pytest.raises(InputError, match="there is no question"):
        retriever.run()
    with pytest.raises(ValueError, match="tags is no string"):
        document_store.write_documents([Document(content="x", meta={"tags": ["a"]})])
    with pytest.raises(DocumentStoreError, match="empty"):
        document_store.write_documents([Document(id="empty", content="")])


def test_serialisation(tmp_path: Path) -> None:
    with WavRAG.open(tmp_path / "kb", embedder="fake") as rag:
        retriever = WavRAGHybridRetriever(WavRAGDocumentStore(rag), FILTERS[0], top_k=3)
        data = retriever.to_dict()
        copy = WavRAGHybridRetriever.from_dict(data)
        assert copy.to_dict() == data
        assert (copy.filters, copy.top_k) == (FILTERS[0], 3)
        copy.document_store.rag.close()
