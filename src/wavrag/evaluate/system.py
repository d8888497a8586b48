"""Measurements of one embedder on one task, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from wavrag.evaluate.cost import Cost
from wavrag.evaluate.wer import WordErrors
from wavrag.search import Fusion
from wavrag.types import Modality

Legs: TypeAlias = Literal["dense", "lexical", "fused"]
LEGS: tuple[Legs, ...] = get_args(Legs)
PERCENTILES = (50, 90, 95, 99)  # of latencies: the median, and the tail that users notice


@dataclass(frozen=True, slots=True)
class RetrievedHit:
    """A corpus passage retrieved for a query, represented by its best indexed passage.

    A long text or recording of the corpus is indexed as several passages.
    """

    id: str  # id of the corpus passage
    score: float  # score of the indexed passage: a cosine, a BM25 score, or a fused score
    location: str = ""  # readable location of the indexed passage in its source
    # span of the indexed passage, in seconds of a recording or characters of a text; None for the
    # whole source
    span: tuple[float, float] | None = None
    modality: Modality = "text"  # modality of the indexed passage
    # recognised words of a recording; None for a text, or if the embedder does not recognise words
    transcript: str | None = None


@dataclass(frozen=True, slots=True)
class System:
    """Results of one embedder and one choice of legs on one task.

    Attributes:
        embedder: name of the embedder.
        revision: revision of its vectors.
        transcribes: True if it recognises words; only then has `lexical` words of recordings.
        legs: `dense` or `lexical` for one leg alone, or `fused` for the ranking that users get.
        fusion: how the legs were merged, by `scores` or by `ranks`.
        reranker: name of the reranker of the fused hits; None without one.
        metrics: means over queries.
        ci95: lower and upper end of the bootstrap interval of each mean.
        values: one value per query for each metric, in the order of the task's queries.
        queries_without_hits: number of queries without a hit.
        hits: best corpus passages of each query id, best first.
        query_words: words of each query id, typed or recognised; None if unknown.
        latencies_ms: embedding and search time of each query in milliseconds, without decoding;
            the same for all legs, which share one search.
        indexing: cost of indexing the corpus, with weights already loaded.
        querying: cost of embedding and searching, over all queries.
        indexed_passages: number of passages that the corpus was split into.
        word_errors: word errors in spoken queries; None without recognised words or references.
    """

    embedder: str
    revision: str
    transcribes: bool
    legs: Legs
    fusion: Fusion
    metrics: Mapping[str, float]
    ci95: Mapping[str, tuple[float, float]]
    values: Mapping[str, Sequence[float]]
    queries_without_hits: int
    hits: Mapping[str, Sequence[RetrievedHit]]
    query_words: Mapping[str, str | None]
    latencies_ms: Sequence[float]
    indexing: Cost
    querying: Cost
    indexed_passages: int
    word_errors: WordErrors | None = None
    reranker: str | None = None

    def latency_percentiles(self) -> dict[int, float]:
        """Compute `PERCENTILES` of `latencies_ms`."""
        latencies = np.percentile(self.latencies_ms, PERCENTILES)
        return dict(zip(PERCENTILES, map(float, latencies), strict=True))
