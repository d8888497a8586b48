"""What was measured of one embedder on one task: plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from wavrag.evaluate.cost import Cost
from wavrag.evaluate.wer import WordErrors
from wavrag.types import Modality

Legs: TypeAlias = Literal["dense", "lexical", "fused"]
LEGS: tuple[Legs, ...] = get_args(Legs)
PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class RetrievedHit:
    """An entry that a query found, by its best passage.

    Attributes:
        entry: its id.
        score: of the passage: a cosine, a BM25 score, or a fused one.
        location: of the passage in it, for people.
        span: of the passage, in seconds of a recording or characters of a text; None for the whole.
        modality: whether the passage is of a recording or of a text.
        heard: words that were recognised in the passage of a recording; None for a text, or where
            the embedder gives no words.
    """

    entry: str
    score: float
    location: str = ""
    span: tuple[float, float] | None = None
    modality: Modality = "text"
    heard: str | None = None


@dataclass(frozen=True, slots=True)
class System:
    """What one embedder reached on one task with one choice of legs.

    Attributes:
        embedder: its name.
        revision: of its vectors.
        gives_words: whether it recognises words, which is what `lexical` knows of recordings.
        legs: `dense` and `lexical` are one leg alone, `fused` is what users get.
        metrics: means over queries.
        ci95: ends of the bootstrap interval of each mean.
        values: of each metric, one a query, in the order of the task's.
        unanswered: queries for which nothing was found.
        found: the best entries of each query, best first.
        words: of each query, as typed or recognised; None where there are none.
        milliseconds: of each query, embedding and searching, after decoding; the same for all legs,
            as one search asks both.
        indexing: from documents to an index that can be searched, weights loaded before.
        asking: embedding and searching, over all queries.
        passages: that the corpus was cut into.
        errors: of the words recognised in queries; None where none are recognised or known.
    """

    embedder: str
    revision: str
    gives_words: bool
    legs: Legs
    metrics: Mapping[str, float]
    ci95: Mapping[str, tuple[float, float]]
    values: Mapping[str, Sequence[float]]
    unanswered: int
    found: Mapping[str, Sequence[RetrievedHit]]
    words: Mapping[str, str | None]
    milliseconds: Sequence[float]
    indexing: Cost
    asking: Cost
    passages: int
    errors: WordErrors | None = None

    @property
    def query_ms(self) -> tuple[float, float]:
        """p50 and p95 of `milliseconds`."""
        p50, _, p95, _ = self.latency()
        return p50, p95

    @property
    def index_seconds(self) -> float:
        """From documents to an index that can be searched."""
        return self.indexing.seconds

    def latency(self) -> tuple[float, ...]:
        """`PERCENTILES` of `milliseconds`."""
        return tuple(float(ms) for ms in np.percentile(self.milliseconds, PERCENTILES))
