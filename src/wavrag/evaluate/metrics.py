"""Retrieval metrics as BEIR reports them, as pure functions of ranked ids and judgements.

A judgement (qrel) is a number: values above 0 are relevant, and higher is better. Passages with a
judgement of 0 or below, or without one, are not relevant.
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

# Between seeds, the ends of an interval vary by 2 to 3 % of its width at this number of samples,
# below the three digits that tables print for a few hundred queries.
RESAMPLES = 1_000
SEED = 0  # the same for all metrics and systems, so that their intervals are comparable
CONFIDENCE = 0.95


def rank_ids(scores: Mapping[str, float]) -> list[str]:
    """Sort ids by descending score; ties are broken by id."""
    # Without the id, the order of ties would depend on the store, and differ from run to run.
    return sorted(scores, key=lambda id: (-scores[id], id))


def recall(ranking: Sequence[str], judgements: Judgements, k: int) -> float:
    """Compute the share of the relevant passages among the first k."""
    relevant = _relevant_ids(judgements)
    return len(relevant.intersection(ranking[:k])) / len(relevant)


def ndcg(ranking: Sequence[str], judgements: Judgements, k: int) -> float:
    """Compute the normalised discounted cumulative gain of the first k, from 0 to 1.

    The gain of a passage is its judgement (Järvelin and Kekäläinen, TOIS 2002), its discount
    log2(rank + 1), and the sum is divided by that of the ideal ranking. trec_eval's `ndcg_cut`,
    and therefore BEIR, use the same definition.
    """
    ideal = sorted((judgements[id] for id in _relevant_ids(judgements)), reverse=True)
    # Like trec_eval, treat negative judgements as not relevant.
    gains = [max(0.0, judgements.get(id, 0.0)) for id in ranking[:k]]
    return _discounted_sum(gains) / _discounted_sum(ideal[:k])


def reciprocal_rank(ranking: Sequence[str], judgements: Judgements, k: int) -> float:
    """Compute 1 / rank of the first relevant passage among the first k, or 0 if there is none.

    The mean over queries is MRR@k.
    """
    relevant = _relevant_ids(judgements)
    return next((1 / rank for rank, id in enumerate(ranking[:k], 1) if id in relevant), 0.0)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "recall@1": partial(recall, k=1),
        "recall@5": partial(recall, k=5),
        "recall@10": partial(recall, k=10),
        "ndcg@10": partial(ndcg, k=10),
        "mrr@10": partial(reciprocal_rank, k=10),
    }
)
DEPTH = 10  # depth of the deepest of METRICS


def evaluate_run(
    run: Mapping[str, Sequence[str]], qrels: Qrels, metrics: Mapping[str, Metric] = METRICS
) -> dict[str, list[float]]:
    """Compute each metric for every judged query, in the order of `qrels`.

    Args:
        run: retrieved passage ids of each query id, distinct, best first; a missing query counts
            as one without hits.
        qrels: judgements of each query, at least one of them relevant.
        metrics: by name.

    Raises:
        InputError: a query has no relevant passage, or its ranking repeats an id.

    Example:
        >>> values = evaluate_run({"q": ["b", "a"]}, {"q": {"a": 1}})
        >>> values["recall@1"], values["mrr@10"]
        ([0.0], [0.5])
    """
    for query, judgements in qrels.items():
        if not _relevant_ids(judgements):
            raise InputError(f"query {query!r} has no relevant passage: remove it from the qrels")
        if len(set(run.get(query, ()))) != len(run.get(query, ())):
            raise InputError(f"query {query!r} ranks an id twice: keep the better rank only")
    return {
        name: [metric(run.get(query, ()), judgements) for query, judgements in qrels.items()]
        for name, metric in metrics.items()
    }


def mean(values: Sequence[float]) -> float:
    """Compute the mean over queries, all with the same weight."""
    # `fsum` is exact, so that the order of the queries cannot change the last digit.
    return math.fsum(values) / len(values)


def confidence_intervals(values: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    """Compute 95 % bootstrap intervals of means: percentiles over resampled queries.

    Queries are drawn with replacement (Efron and Tibshirani 1993, chapter 13), with the same draws
    for all metrics and systems of equal size. An interval generalises to other queries of the same
    kind over the same corpus. It is a point, and uninformative, if all queries have the same value.

    Args:
        values: for each metric one value per query, with the same number of queries for all.

    Returns:
        Lower and upper end for each metric.
    """
    means = resample_means(np.array(list(values.values()), np.float64))
    return {name: percentile_interval(row) for name, row in zip(values, means, strict=True)}


def confidence_interval(values: Sequence[float]) -> tuple[float, float]:
    """Compute the interval of a single mean, as `confidence_intervals` does."""
    return confidence_intervals({"": values})[""]


def percentile_interval(samples: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the central 95 % of the samples."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)


def resample_means(
    values: npt.NDArray[np.float64], resamples: int = RESAMPLES
) -> npt.NDArray[np.float64]:
    """Compute the means of queries drawn with replacement, as many as there are.

    `values` has the shape (n_metrics, n_queries), the result (n_metrics, resamples).
    """
    generator = np.random.default_rng(SEED)
    queries = values.shape[1]
    # One sample at a time: all draws together would need resamples * queries indices in memory.
    draws = (generator.integers(queries, size=queries) for _ in range(resamples))
    return np.stack([values[:, sample].mean(1) for sample in draws], axis=1)


def _relevant_ids(judgements: Judgements) -> set[str]:
    return {id for id, score in judgements.items() if score > 0}


def _discounted_sum(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
