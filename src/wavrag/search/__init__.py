"""Turn the ranked lists of a store into one list of hits: pure functions on plain data."""

from __future__ import annotations

from wavrag.search.fuse import Fusion, FusionWeights, reciprocal_rank_fusion, score_fusion
from wavrag.search.overlap import remove_overlaps
from wavrag.search.rerank import RERANK_HITS, Reranker, reorder_hits, score_hits
from wavrag.search.similar import expand_similar, group_similar, word_triples
from wavrag.search.vocabulary import WordIndex

__all__ = [
    "RERANK_HITS", "Fusion", "FusionWeights", "Reranker", "WordIndex", "expand_similar",
    "group_similar", "reciprocal_rank_fusion", "remove_overlaps", "reorder_hits",
    "score_fusion", "score_hits", "word_triples",
]  # fmt: skip
