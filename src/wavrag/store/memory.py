"""The store for tests and small throw-away bases: everything in memory, every search exact.

Keeps the promises of the seam, without persistence. Its words are matched as written but for case;
a store with a real full-text index also matches other forms of a word.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from wavrag.errors import StoreError
from wavrag.store.base import StoredDocument, StoredPassage
from wavrag.store.lexical import query_words, words_of
from wavrag.store.records import (
    check_records,
    check_vector,
    find_defects,
    read_filter,
    summarise,
)
from wavrag.types import Float32, Leg, Passage, ScoredPassage
from wavrag.where import matches

BM25_K1 = 1.2
"""How soon more occurrences of a word stop counting."""

BM25_B = 0.75
"""How much a long passage is held against it, from 0 to 1."""


class MemoryStore:
    """Records in memory; cosine over all of them, and BM25."""

    def __init__(self, dim: int) -> None:
        """Make an empty store.

        Args:
            dim: length of its vectors.
        """
        self.dim = dim
        self._documents: dict[str, list[StoredPassage]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def upsert(self, records: Sequence[StoredPassage]) -> None:
        """Replace whole documents; see `Store.upsert`."""
        self._check_open()
        check_records(records, self.dim)
        changed: dict[str, list[StoredPassage]] = {}
        for record in sorted(records, key=lambda record: record.passage.ordinal):
            changed.setdefault(record.passage.document_id, []).append(record)
        with self._lock:
            self._documents = self._documents | changed

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents; see `Store.delete`."""
        self._check_open()
        gone = set(document_ids)
        with self._lock:
            removed = sum(len(self._documents.get(document_id, ())) for document_id in gone)
            self._documents = {
                key: rows for key, rows in self._documents.items() if key not in gone
            }
        return removed

    def search(
        self, vector: Float32 | None, text: str | None, k: int, where: str | None = None
    ) -> Mapping[Leg, list[ScoredPassage]]:
        """The best passages of each leg; see `Store.search`."""
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
            scores = bm25(query_words(text), [record.lexical for record in records])
            found = [ok and score > 0 for ok, score in zip(allowed, scores, strict=True)]
            legs["lexical"] = _best(records, scores, found, k)
        return legs

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """Passages by id; see `Store.get`."""
        self._check_open()
        passages = {record.passage.id: record.passage for record in self._records()}
        return [passages[key] for key in passage_ids if key in passages]

    def count(self) -> int:
        """Passages kept."""
        self._check_open()
        return sum(map(len, self._documents.values()))

    def scan(self) -> Iterator[StoredPassage]:
        """Every record, as it was at the call; see `Store.scan`."""
        self._check_open()
        documents = self._documents
        return (record for key in sorted(documents) for record in documents[key])

    def documents(self) -> list[StoredDocument]:
        """Every document, in order of id."""
        self._check_open()
        return summarise(self._records())

    def optimize(self) -> None:
        """Nothing to do: there are no indexes and no old versions."""
        self._check_open()

    def verify(self) -> list[str]:
        """One sentence for each defect; see `Store.verify`."""
        return find_defects(self.scan(), self.dim)

    def close(self) -> None:
        """Let go of everything."""
        self._documents = {}
        self._closed = True

    def _records(self) -> Iterable[StoredPassage]:
        return (record for rows in self._documents.values() for record in rows)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("this store is closed: open it again")


def bm25(query: str, texts: Sequence[str]) -> list[float]:
    """Score of every text for the words of a query (Robertson and Zaragoza 2009, section 3.4).

    For each distinct word of the query, idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length /
    mean length)), with idf = ln(1 + (n - df + .5) / (df + .5)), which is never negative.
    """
    counts = [Counter(word.lower() for word in words_of(text)) for text in texts]
    lengths = np.array([count.total() for count in counts], dtype=np.float64)
    scores = np.zeros(len(texts))
    mean = lengths.mean() if lengths.any() else 1.0
    norm = BM25_K1 * (1 - BM25_B + BM25_B * lengths / mean)
    for word in sorted({word.lower() for word in words_of(query)}):
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
    found = (ScoredPassage(record.passage, score) for record, score, ok in rows if ok)
    return heapq.nsmallest(k, found, key=lambda hit: (-hit.score, hit.passage.id))
