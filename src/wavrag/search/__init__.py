"""From the lists that a store finds to one list of hits: pure functions on plain data."""

from __future__ import annotations

from wavrag.search.fuse import reciprocal_rank_fusion
from wavrag.search.overlap import drop_overlapping

__all__ = ["drop_overlapping", "reciprocal_rank_fusion"]
