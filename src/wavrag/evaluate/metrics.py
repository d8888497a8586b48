"""Retrieval metrics as BEIR reports them: pure functions on ranked ids and judgements.

A judgement (qrel) is a number: above 0 is relevant, and more is better; 0, below 0 and no judgement
are not relevant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from wavrag.data import Judgements, Qrels
from wavrag.errors import InputError

Metric: TypeAlias = Callable[[Sequence[str], Judgements], float]

RESAMPLES = 1_000
SEED = 0
CONFIDENCE = 0.95


def rank_ids(scores: Mapping[str, float]) -> list[str]:
    """Ids by score, best first, ties by id."""
    return sorted(scores, key=lambda id: (-scores[id], id))


def recall(ranked: Sequence[str], judgements: Judgements, k: int) -> float:
    """Share of the relevant entries that are among the first k.

    Args:
        ranked: distinct ids, best first.
        judgements: with at least one relevant entry.
        k: depth, from 1.
    """
    relevant = _relevant(judgements)
    return len(relevant.intersection(ranked[:k])) / len(relevant)


def ndcg(ranked: Sequence[str], judgements: Judgements, k: int) -> float:
    """Normalised discounted cumulative gain of the first k, from 0 to 1.

    The gain of an entry is its judgement itself (Järvelin and Kekäläinen, TOIS 2002), its discount
    log2(rank + 1), as in trec_eval's `ndcg_cut` and so in BEIR; the sum is divided by that of the
    best possible order.
    """
    best = sorted((judgements[id] for id in _relevant(judgements)), reverse=True)
    gains = [max(0.0, judgements.get(id, 0.0)) for id in ranked[:k]]
    return _discounted(gains) / _discounted(best[:k])


def reciprocal_rank(ranked: Sequence[str], judgements: Judgements, k: int) -> float:
    """1 / rank of the first relevant entry among the first k, or 0; its mean is MRR@k."""
    relevant = _relevant(judgements)
    return next((1 / rank for rank, id in enumerate(ranked[:k], 1) if id in relevant), 0.0)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "recall@1": partial(recall, k=1),
        "recall@5": partial(recall, k=5),
        "recall@10": partial(recall, k=10),
        "ndcg@10": partial(ndcg, k=10),
        "mrr@10": partial(reciprocal_rank, k=10),
    }
)
DEPTH = 10  # entries that the deepest of METRICS looks at


def evaluate_run(
    run: Mapping[str, Sequence[str]], qrels: Qrels, metrics: Mapping[str, Metric] = METRICS
) -> dict[str, list[float]]:
    """The values of each metric, one a judged query, in the order of `qrels`.

    Args:
        run: for each query id the corpus ids found, distinct, best first; a query that is missing
            found nothing.
        qrels: judgements of each query, at least one of them relevant.
        metrics: by name.

    Raises:
        InputError: a query has no relevant entry, or an id was ranked twice.
    """
    for query, judgements in qrels.items():
        if not _relevant(judgements):
            raise InputError(f"query {query!r} has no relevant entry: leave it out of the qrels")
        if len(set(run.get(query, ()))) != len(run.get(query, ())):
            raise InputError(f"query {query!r} ranks an id twice: keep the better of its ranks")
    return {
        name: [metric(run.get(query, ()), judgements) for query, judgements in qrels.items()]
        for name, metric in metrics.items()
    }


def mean(values: Sequence[float]) -> float:
    """The mean over queries, each counting the same."""
    return math.fsum(values) / len(values)


def confidence_intervals(
    values: Mapping[str, Sequence[float]],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals of the means: percentiles over resampled queries.

    Queries are drawn with replacement, as many as there are (Efron and Tibshirani 1993, chapter
    13). Equal seeds and numbers of queries draw equal samples, for all metrics and all systems. An
    interval speaks of other queries of the same kind, over the same corpus; where every query has
    the same value it is a point, and says nothing.

    Args:
        values: one a query, for each metric; as many queries for each.
        resamples: samples drawn.
        seed: of the draws.
        confidence: share of the samples whose mean lies within.

    Returns:
        For each metric the lower and the upper end.
    """
    matrix = np.array(list(values.values()), np.float64)
    means = resampled_means(matrix, resamples=resamples, seed=seed)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail], axis=1)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(values)}


def resampled_means(
    values: npt.NDArray[np.float64], *, resamples: int, seed: int
) -> npt.NDArray[np.float64]:
    """Means of queries drawn with replacement, as many as there are.

    Args:
        values: shape = (n_metrics, n_queries).
        resamples: samples drawn; the same queries for every metric.
        seed: of the draws.

    Returns:
        shape = (n_metrics, resamples).
    """
    generator = np.random.default_rng(seed)
    queries = values.shape[1]
    drawn = (generator.integers(queries, size=queries) for _ in range(resamples))
    return np.stack([values[:, sample].mean(1) for sample in drawn], axis=1)


def _relevant(judgements: Judgements) -> set[str]:
    return {id for id, score in judgements.items() if score > 0}


def _discounted(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
