"""Turn the ranked lists of a store into one list of hits: pure functions on plain data."""

from __future__ import annotations

from wavrag.search.fuse import Fusion, FusionWeights, reciprocal_rank_fusion, score_fusion
from wavrag.search.overlap import remove_overlaps
from wavrag.search.vocabulary import WordIndex, apply_corrections, lexical_query

__all__ = [
    "Fusion", "FusionWeights", "WordIndex", "apply_corrections", "lexical_query",
    "reciprocal_rank_fusion", "remove_overlaps", "score_fusion",
]  # fmt: skip
