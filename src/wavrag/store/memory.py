"""`MemoryStore`: passages in memory, with exact search, for tests and temporary knowledge bases.

It has no persistence. Words match regardless of case, but without stemming, unlike in a full-text
index.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from wavrag.errors import StoreError
from wavrag.store.base import Change, StoredDocument, StoredPassage
from wavrag.store.checks import check_records, check_vector, checked, find_defects, read_filter
from wavrag.store.lexical import split_words, weighted_words
from wavrag.store.vocabulary import count_vocabulary
from wavrag.types import Float32, Leg, LexicalQuery, Passage, ScoredPassage, Vocabulary
from wavrag.where import Node, matches

# Saturation of term frequency; larger values reward repeated words more.
BM25_K1 = 1.2

# Length normalisation, from 0 (none) to 1.
BM25_B = 0.75


class MemoryStore:
    """Passages in memory, searched by cosine and BM25."""

    def __init__(self, dim: int) -> None:
        """Create an empty store for vectors with `dim` dimensions."""
        self.dim = dim
        self._documents: dict[str, list[StoredPassage]] = {}
        self._vocabulary: tuple[dict[str, list[StoredPassage]], Vocabulary | None] = ({}, None)
        self._lock = threading.RLock()
        self._closed = False

    def upsert(self, records: Sequence[StoredPassage]) -> None:
        """Replace whole documents; see `Store.upsert`."""
        self._check_open()
        check_records(records, self.dim)
        changed = _by_document(records)
        with self._lock:
            # A new dictionary, so that a running `scan` keeps its snapshot.
            self._documents = self._documents | changed

    def replace(self, document_id: str, records: Iterable[StoredPassage]) -> None:
        """Replace a document; see `Store.replace`."""
        self._check_open()
        rows = list(checked(records, self.dim, [document_id]))
        if rows:
            self.upsert(rows)
        else:
            self.delete([document_id])

    def update(self, document_ids: Sequence[str], change: Change) -> None:
        """Change documents; see `Store.update`."""
        self._check_open()
        ids = set(document_ids)
        with self._lock:
            records = list(change(self.scan(sorted(ids))))
            check_records(records, self.dim, ids)
            others = {key: rows for key, rows in self._documents.items() if key not in ids}
            self._documents = others | _by_document(records)

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents; see `Store.delete`."""
        self._check_open()
        ids = set(document_ids)
        with self._lock:
            removed = sum(len(self._documents.get(document_id, ())) for document_id in ids)
            self._documents = {key: rows for key, rows in self._documents.items() if key not in ids}
        return removed

    def search(
        self,
        vector: Float32 | None,
        text: str | LexicalQuery | None,
        k: int,
        where: str | Node | None = None,
    ) -> Mapping[Leg, list[ScoredPassage]]:
        """Search; see `Store.search`."""
        self._check_open()
        records = list(self._records())
        tree = read_filter(where)
        allowed = [tree is None or matches(tree, record.passage) for record in records]
        legs: dict[Leg, list[ScoredPassage]] = {}
        if vector is not None:
            check_vector(vector, self.dim, "the query")
            scores = [float(vector @ record.vector) for record in records]
            legs["dense"] = _best(records, scores, allowed, k)
        if text is not None:
            texts = [record.lexical for record in records]
            weighted = [
                [weight * score for score in bm25(words, texts)]
                for words, weight in weighted_words(text)
            ]
            scores = [sum(terms) for terms in zip(*weighted, strict=True)]
            # A passage without any word of the query is no hit, however small k is.
            matching = [ok and score > 0 for ok, score in zip(allowed, scores, strict=True)]
            legs["lexical"] = _best(records, scores, matching, k)
        return legs

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """Return passages by id; see `Store.get`."""
        self._check_open()
        passages = {record.passage.id: record.passage for record in self._records()}
        return [passages[key] for key in passage_ids if key in passages]

    def content_hash(self, document_id: str) -> str | None:
        """Return the content hash of a document; see `Store.content_hash`."""
        self._check_open()
        records = self._documents.get(document_id)
        return None if records is None else records[0].content_hash

    def count(self, where: Node | None = None) -> int:
        """Return the number of passages; see `Store.count`."""
        self._check_open()
        return sum(where is None or matches(where, r.passage) for r in self._records())

    def scan(self, document_ids: Sequence[str] | None = None) -> Iterator[StoredPassage]:
        """Yield a snapshot; see `Store.scan`."""
        self._check_open()
        documents = self._documents
        keys = documents.keys() if document_ids is None else documents.keys() & set(document_ids)
        return (record for key in sorted(keys) for record in documents[key])

    def documents(self) -> list[StoredDocument]:
        """Return all documents, ordered by id."""
        self._check_open()
        return [
            StoredDocument(
                id=document_id,
                content_hash=records[0].content_hash,
                source=records[0].passage.source,
                title=records[0].passage.title,
                modality=records[0].passage.modality,
                passages=len(records),
                seconds=max(record.passage.end or 0.0 for record in records),
                metadata=records[0].passage.metadata,
                copies=records[0].passage.copies,
            )
            for document_id, records in sorted(self._documents.items())
        ]

    def vocabulary(self, where: Node | None = None) -> Vocabulary:
        """Count the words; see `Store.vocabulary`."""
        self._check_open()
        if where is not None:
            rows = (record for record in self._records() if matches(where, record.passage))
            return count_vocabulary(record.lexical for record in rows)
        documents, vocabulary = self._vocabulary
        if documents is not self._documents or vocabulary is None:
            # A change replaces the dictionary of documents, so it serves as the version.
            documents = self._documents
            vocabulary = count_vocabulary(
                record.lexical for records in documents.values() for record in records
            )
            self._vocabulary = documents, vocabulary
        return vocabulary

    def optimize(self) -> None:
        """Do nothing: there are no indexes and no old versions."""
        self._check_open()

    def verify(self, share: float = 1.0) -> list[str]:
        """Describe each defect in a sentence; see `Store.verify`."""
        return find_defects(self.scan(), self.dim)

    def close(self) -> None:
        """Discard all passages."""
        self._documents = {}
        self._closed = True

    def _records(self) -> Iterable[StoredPassage]:
        return (record for rows in self._documents.values() for record in rows)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("this store is closed: open it again")


def _by_document(records: Iterable[StoredPassage]) -> dict[str, list[StoredPassage]]:
    """Passages by document id, ordered by ordinal."""
    documents: dict[str, list[StoredPassage]] = {}
    for record in sorted(records, key=lambda record: record.passage.ordinal):
        documents.setdefault(record.passage.document_id, []).append(record)
    return documents


def bm25(query: str, texts: Sequence[str]) -> list[float]:
    """Score every text for a query (Robertson and Zaragoza 2009, section 3.4).

    The sum over the distinct words of the query of idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b *
    length / mean length)), with idf = ln(1 + (n - df + .5) / (df + .5)), which is never negative.
    """
    counts = [Counter(word.lower() for word in split_words(text)) for text in texts]
    lengths = np.array([count.total() for count in counts], dtype=np.float64)
    scores = np.zeros(len(texts))
    mean = lengths.mean() if lengths.any() else 1.0
    norm = BM25_K1 * (1 - BM25_B + BM25_B * lengths / mean)
    for word in sorted({word.lower() for word in split_words(query)}):
        tf = np.array([count[word] for count in counts], dtype=np.float64)
        df = np.count_nonzero(tf)
        if df:
            idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
            scores += idf * tf * (BM25_K1 + 1) / (tf + norm)
    return [float(score) for score in scores]


def _best(
    records: Sequence[StoredPassage], scores: Sequence[float], allowed: Sequence[bool], k: int
) -> list[ScoredPassage]:
    rows = zip(records, scores, allowed, strict=True)
    hits = (ScoredPassage(record.passage, score) for record, score, ok in rows if ok)
    return heapq.nsmallest(k, hits, key=lambda hit: (-hit.score, hit.passage.id))
