"""Measure how much the hits still change during speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

PERSISTENCE = 0.9  # of rank-biased overlap: the first ten ranks carry 86 % of the weight
STABLE_MS = 800.0  # audio for which the top hit must stay first to count in full


class RankingStability(NamedTuple):
    """Stability of a ranking against the previous one; `PartialHits` explains the fields."""

    stability: float
    overlap: float
    top_hit_ms: float


class StabilityTrack:
    """Compares the rankings of a turn, in order of the audio they were retrieved with."""

    def __init__(self) -> None:
        self._ids: Sequence[str] | None = None
        self._since_ms = 0.0

    def add(self, ids: Sequence[str], end_ms: float) -> RankingStability:
        """Add the next ranking of passage ids, whose query ended at `end_ms` in the audio."""
        previous = self._ids
        if previous is None or list(previous[:1]) != list(ids[:1]):
            self._since_ms = end_ms
        overlap = 0.0 if previous is None else rank_biased_overlap(previous, ids)
        self._ids = ids
        top_hit_ms = end_ms - self._since_ms if ids else 0.0
        return RankingStability(overlap * min(1.0, top_hit_ms / STABLE_MS), overlap, top_hit_ms)


def rank_biased_overlap(
    first: Sequence[str], second: Sequence[str], persistence: float = PERSISTENCE
) -> float:
    """Similarity of two rankings from 0 to 1, extrapolated beyond their ends.

    Source: Webber, Moffat and Zobel, A Similarity Measure for Indefinite Rankings (ACM TOIS 28,
    2010), equation 32. The ids of a ranking are distinct; `persistence` is the probability of
    looking at the next rank.
    """
    short, long = sorted((first, second), key=len)
    if not long:
        return 1.0
    if not short:
        return 0.0
    p, s, n = persistence, len(short), len(long)  # the symbols of the paper
    seen_short: set[str] = set()
    seen_long: set[str] = set()
    shared_short, total = 0, 0.0
    for depth in range(1, n + 1):
        seen_short.update(short[depth - 1 : depth])
        seen_long.add(long[depth - 1])
        shared = len(seen_short & seen_long)
        if depth <= s:
            shared_short = shared
        beyond = shared_short * max(0, depth - s) / s
        total += (shared + beyond) / depth * p**depth
    agreement = (shared - shared_short) / n + shared_short / s
    return total * (1 - p) / p + agreement * p**n
