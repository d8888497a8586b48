"""Fuse the ranked lists of several legs into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wavrag.types import Hit, Leg, Passage, ScoredPassage

# The value of Cormack et al.; with larger ones, the first ranks count less.
RRF_CONSTANT = 60


def reciprocal_rank_fusion(legs: Mapping[Leg, Sequence[ScoredPassage]]) -> list[Hit]:
    """Fuse the legs of a search by rank, whatever the scale of their scores.

    The score of a passage is the sum over its legs of 1 / (`RRF_CONSTANT` + rank), with ranks
    from 1 (Cormack, Clarke and Büttcher, SIGIR 2009, equation 1).

    Args:
        legs: passages of each leg, best first.

    Returns:
        Every passage once, best first, ties by passage id.
    """
    passages: dict[str, Passage] = {}
    scores: dict[str, float] = {}
    leg_scores: dict[str, dict[Leg, float]] = {}
    for leg, hits in legs.items():
        for rank, hit in enumerate(hits, start=1):
            key = hit.passage.id
            by_leg = leg_scores.setdefault(key, {})
            # A leg counts once for a passage, by its best rank.
            if leg in by_leg:
                continue
            by_leg[leg] = hit.score
            passages[key] = hit.passage
            scores[key] = scores.get(key, 0.0) + 1 / (RRF_CONSTANT + rank)
    order = sorted(passages, key=lambda key: (-scores[key], key))
    return [
        Hit(passage=passages[key], rank=rank, score=scores[key], legs=leg_scores[key])
        for rank, key in enumerate(order, start=1)
    ]
