"""How much the hits still change while one speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PERSISTENCE = 0.9  # of a reader who goes from one hit to the next: the first ten weigh 86 %
STEADY_MS = 800.0  # of sound for which the first hit must have stood to count in full


@dataclass(frozen=True, slots=True)
class Steadiness:
    """How steady one list is against the one before it.

    Attributes:
        stability: `overlap` times how long the first hit has stood, both from 0 to 1.
        overlap: rank-biased overlap with the list before; 0 for the first.
        first_ms: of sound for which the first hit has been first.
    """

    stability: float
    overlap: float
    first_ms: float


class StabilityTrack:
    """The lists of one turn, in order of how much sound they were found with."""

    def __init__(self) -> None:
        self._ids: Sequence[str] | None = None
        self._since_ms = 0.0

    def add(self, ids: Sequence[str], end_ms: float) -> Steadiness:
        """Take in the next list.

        Args:
            ids: of the passages, best first.
            end_ms: place in the sound up to which it was searched with.
        """
        before = self._ids
        if before is None or list(before[:1]) != list(ids[:1]):
            self._since_ms = end_ms
        overlap = 0.0 if before is None else rank_biased_overlap(before, ids)
        self._ids = ids
        first_ms = end_ms - self._since_ms if ids else 0.0
        return Steadiness(overlap * min(1.0, first_ms / STEADY_MS), overlap, first_ms)


def rank_biased_overlap(
    first: Sequence[str], second: Sequence[str], persistence: float = PERSISTENCE
) -> float:
    """How alike two rankings are, from 0 to 1; what is unseen below them is extrapolated.

    Source: Webber, Moffat and Zobel, A Similarity Measure for Indefinite Rankings (ACM TOIS 28,
    2010), equation 32.

    Args:
        first: distinct ids, best first.
        second: the same; it may be of another length.
        persistence: probability of looking at the next rank.
    """
    short, long = sorted((first, second), key=len)
    if not long:
        return 1.0
    if not short:
        return 0.0
    p, s, n = persistence, len(short), len(long)
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
