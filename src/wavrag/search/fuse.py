"""Fusion: several ranked lists to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wavrag.types import Hit, Leg, Passage, ScoredPassage

RRF_CONSTANT = 60
"""How little the first ranks stand out; the value of Cormack et al."""


def reciprocal_rank_fusion(
    legs: Mapping[Leg, Sequence[ScoredPassage]],
    *,
    constant: int = RRF_CONSTANT,
) -> list[Hit]:
    """Fuse the legs of one search by rank, whatever the scale of their scores.

    A passage's score is the sum over the legs that found it of 1 / (constant + rank), with
    ranks from 1 (Cormack, Clarke and Büttcher, SIGIR 2009, equation 1).

    Args:
        legs: for each leg its passages, best first.
        constant: larger values make the first ranks stand out less.

    Returns:
        Every passage once, best first, ties by passage id.
    """
    passages: dict[str, Passage] = {}
    scores: dict[str, float] = {}
    found: dict[str, dict[Leg, float]] = {}
    for leg, ranked in legs.items():
        for rank, scored in enumerate(ranked, start=1):
            key = scored.passage.id
            by_leg = found.setdefault(key, {})
            if leg in by_leg:
                continue
            by_leg[leg] = scored.score
            passages[key] = scored.passage
            scores[key] = scores.get(key, 0.0) + 1 / (constant + rank)
    order = sorted(passages, key=lambda key: (-scores[key], key))
    return [
        Hit(passage=passages[key], rank=rank, score=scores[key], legs=found[key])
        for rank, key in enumerate(order, start=1)
    ]
