"""Turn the ranked lists of a store into one list of hits: pure functions on plain data."""

from __future__ import annotations

from wavrag.search.fuse import reciprocal_rank_fusion
from wavrag.search.overlap import remove_overlaps

__all__ = ["reciprocal_rank_fusion", "remove_overlaps"]
