"""Fuse the ranked lists of the legs into one, by their scores or by their ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from wavrag.types import Hit, Leg, Passage, ScoredPassage

Fusion: TypeAlias = Literal["scores", "ranks"]

# The value of Cormack et al.; with larger ones, the first ranks count less.
RRF_CONSTANT = 60
# Means of the hundredth and of the best cosine over the training questions of `FusionWeights`.
# Cosines of other scales are mapped to this range.
TYPICAL_COSINES = 0.22, 0.58
# The certainty of the lexical leg is the lead of its best score over this rank; with fewer hits, it
# is 1.
RUNNER_UP = 10


@dataclass(frozen=True, slots=True)
class FusionWeights:
    """Weights of score fusion, fitted by `tools/fit_fusion.py` on training questions."""

    # Weight of a BM25 score in units of the logarithm of the number of passages, so that a rare
    # word weighs the same in small and large knowledge bases; a cosine weighs 1.
    lexical: float = 1 / 56
    certainty: float = 20.0  # additional weight of a lexical leg with a clear winner
    bias: float = -4.55  # log odds that the best hit is relevant, at a fused score of 0
    best: float = 4.42  # increase of these log odds with the fused score of the best hit
    gap: float = 7.7  # decrease of the log odds with the distance to the best hit


FITTED = FusionWeights()


def score_fusion(
    legs: Mapping[Leg, Sequence[ScoredPassage]],
    passage_count: int,
    *,
    calibrated: bool = True,
    weights: FusionWeights = FITTED,
) -> list[Hit]:
    """Fuse the legs of a search by the sum of their scores.

    Ranks throw away the evidence that scores carry: a name that a single passage contains, or a
    passage that states the question in other words. A passage without a cosine among the
    candidates gets the lowest of theirs, an upper bound.

    Args:
        legs: passages of each leg, best first; `dense` scores are cosines, `lexical` are BM25.
        passage_count: passages in the knowledge base.
        calibrated: the cosines are on the scale of the embedder that the weights were fitted on
            (`EmbedderSpec.calibrated`); others are mapped to its range per query.
        weights: weights of the legs.

    Returns:
        Every passage once, best first, ties by passage id. Scores are estimates from 0 to 1 of the
        probability that the passage answers the query.
    """
    passages, leg_scores = _merge(legs)
    cosines = [scores["dense"] for scores in leg_scores.values() if "dense" in scores]
    lowest, highest = min(cosines, default=0.0), max(cosines, default=0.0)
    bm25 = sorted(
        (scores["lexical"] for scores in leg_scores.values() if "lexical" in scores), reverse=True
    )
    runner_up = bm25[RUNNER_UP - 1] if len(bm25) >= RUNNER_UP else 0.0
    certainty = 1 - runner_up / bm25[0] if bm25 and bm25[0] > 0 else 0.0
    lexical = weights.lexical * (1 + weights.certainty * certainty) / math.log(2 + passage_count)

    def dense(cosine: float) -> float:
        if calibrated:
            return cosine
        low, high = TYPICAL_COSINES
        return low + (high - low) * (cosine - lowest) / max(highest - lowest, 1e-9)

    sums = {
        key: dense(scores.get("dense", lowest)) + lexical * scores.get("lexical", 0.0)
        for key, scores in leg_scores.items()
    }
    best = max(sums.values(), default=0.0)

    def probability(fused: float) -> float:
        odds = weights.bias + weights.best * best + weights.gap * (fused - best)
        return 1 / (1 + math.exp(-max(odds, -700.0)))  # exp overflows below

    return _rank(passages, leg_scores, sums, probability)


def reciprocal_rank_fusion(legs: Mapping[Leg, Sequence[ScoredPassage]]) -> list[Hit]:
    """Fuse the legs of a search by rank, whatever the scale of their scores.

    The score of a passage is the sum over its legs of 1 / (`RRF_CONSTANT` + rank), with ranks
    from 1 (Cormack, Clarke and Büttcher, SIGIR 2009, equation 1). Ties go by passage id.
    """
    passages, leg_scores = _merge(legs)
    sums = dict.fromkeys(passages, 0.0)
    for hits in legs.values():
        # A leg counts once for a passage, by its best rank.
        ranks: dict[str, int] = {}
        for rank, hit in enumerate(hits, start=1):
            ranks.setdefault(hit.passage.id, rank)
        for key, rank in ranks.items():
            sums[key] += 1 / (RRF_CONSTANT + rank)
    return _rank(passages, leg_scores, sums, float)


def _merge(
    legs: Mapping[Leg, Sequence[ScoredPassage]],
) -> tuple[dict[str, Passage], dict[str, dict[Leg, float]]]:
    """Return the passages by id, and the best score of each leg for each of them."""
    passages: dict[str, Passage] = {}
    leg_scores: dict[str, dict[Leg, float]] = {}
    for leg, hits in legs.items():
        for hit in hits:
            passages.setdefault(hit.passage.id, hit.passage)
            leg_scores.setdefault(hit.passage.id, {}).setdefault(leg, hit.score)
    return passages, leg_scores


def _rank(
    passages: Mapping[str, Passage],
    leg_scores: Mapping[str, Mapping[Leg, float]],
    sums: Mapping[str, float],
    scale: Callable[[float], float],
) -> list[Hit]:
    order = sorted(sums, key=lambda key: (-sums[key], key))
    return [
        Hit(passage=passages[key], rank=rank, score=scale(sums[key]), legs=leg_scores[key])
        for rank, key in enumerate(order, start=1)
    ]
