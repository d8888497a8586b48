"""Rerank the best hits of a search with a model that reads query and passage together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from wavrag.types import Float32, Hit, Passage

RERANK_HITS = 50  # cost grows with every hit; recall@50 of fused hits is close to 1


@runtime_checkable
class Reranker(Protocol):
    """Estimates the relevance of passages. Must be thread-safe and deterministic."""

    @property
    def name(self) -> str:
        """The name for `load_reranker`."""
        ...

    def score(self, query: str, passages: Sequence[str]) -> Float32:
        """Return the relevance of each passage to the query.

        Args:
            query: words of the query, not empty.
            passages: texts of any length.

        Returns:
            Estimates from 0 to 1, shape = (len(passages),).
        """
        ...


def score_hits(
    reranker: Reranker, query: str, hits: Sequence[Hit], limit: int = RERANK_HITS
) -> dict[str, float]:
    """Score the first hits of a search; hits without words, such as sounds, get no score.

    Returns:
        Scores from 0 to 1 by passage id.
    """
    passages = [hit.passage for hit in hits[:limit] if hit.passage.text]
    if not passages:
        return {}
    scores = reranker.score(query, [passage_text(passage) for passage in passages])
    return {passage.id: float(score) for passage, score in zip(passages, scores, strict=True)}


def reorder_hits(
    hits: Sequence[Hit], scores: Mapping[str, float], limit: int = RERANK_HITS
) -> list[Hit]:
    """Order the first hits by their new scores; the other hits follow in their order.

    A hit without a new score, such as a sound, competes with its fused score. The scores of the
    hits beyond the limit are capped, so that scores never increase with the rank.

    Args:
        hits: hits of a search, best first.
        scores: scores from 0 to 1 by passage id (`score_hits`).
        limit: number of hits to order.

    Returns:
        The same hits with new ranks and scores, ties by passage id.
    """
    if not scores:
        return list(hits)
    first = [replace(hit, score=scores.get(hit.passage.id, hit.score)) for hit in hits[:limit]]
    first.sort(key=lambda hit: (-hit.score, hit.passage.id))
    cap = first[-1].score
    remaining = [replace(hit, score=min(hit.score, cap)) for hit in hits[limit:]]
    return [replace(hit, rank=rank) for rank, hit in enumerate(first + remaining, start=1)]


def passage_text(passage: Passage) -> str:
    """Return the text of a passage below its title and section."""
    # The words of a passage may never mention its topic, but its title does.
    return "\n".join(filter(None, (passage.title, passage.section, passage.text)))
