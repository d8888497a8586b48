"""Is one system better than another: paired tests on the values of the same queries.

Pure functions on plain numbers. Everything is drawn with a seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wavrag.errors import InputError
from wavrag.evaluate.metrics import CONFIDENCE, RESAMPLES, SEED, mean, resampled_means

DRAWS = 10_000  # for a p-value; the smallest that so many can give is 1 / 10,001
EXACT = 13  # queries that differ, up to which all 2^n signs are gone through, fewer than DRAWS
ROUNDING = 1e-12  # means that differ by less are equal


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the second system is above the first.

    Attributes:
        difference: mean of the second less that of the first.
        ci95: ends of the bootstrap interval of the difference.
        p: two-sided: how often chance alone would make a difference as large.
        n: queries.
    """

    difference: float
    ci95: tuple[float, float]
    p: float
    n: int


def paired_bootstrap(
    a: Sequence[float], b: Sequence[float], *, draws: int = DRAWS, seed: int = SEED
) -> Difference:
    """Resample queries, each with both of its values.

    p is the share of the samples whose mean difference, moved so that the null hypothesis is true,
    is at least as far from 0 as the one found (Efron and Tibshirani 1993, chapter 16; on retrieval
    Smucker, Allan and Carterette, CIKM 2007). With few queries it is too small: below some 30,
    `paired_randomisation` is the one to believe.

    Args:
        a: values of the first system, one a query.
        b: values of the second, for the same queries in the same order.
        draws: samples drawn.
        seed: of the draws.

    Raises:
        InputError: there are no queries, their numbers differ, or a value is not finite.
    """
    differences = _differences(a, b)
    observed = mean(differences.tolist())
    null = resampled_means(differences[None] - observed, resamples=draws, seed=seed)[0]
    return Difference(observed, _interval(differences, seed), _share(null, observed), len(a))


def paired_randomisation(
    a: Sequence[float], b: Sequence[float], *, draws: int = DRAWS, seed: int = SEED
) -> Difference:
    """Swap the systems' values of a query, or not, at random (Fisher's test).

    If the systems were alike, each of the 2^n ways of swapping would be as likely as what was
    found. Up to 13 queries that differ, all are gone through, and p is exact; beyond, so many are
    drawn. The interval is that of the bootstrap.

    Args:
        a: values of the first system, one a query.
        b: values of the second, for the same queries in the same order.
        draws: ways of swapping that are drawn.
        seed: of the draws.

    Raises:
        InputError: there are no queries, their numbers differ, or a value is not finite.
    """
    differences = _differences(a, b)
    observed = mean(differences.tolist())
    moved = differences[differences != 0]
    if len(moved) <= EXACT:
        ways = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
        means = (ways * 2 - 1) @ moved / len(a)
        p = float(np.mean(np.abs(means) >= abs(observed) - ROUNDING))
    else:
        generator = np.random.default_rng(seed)
        signs = (generator.integers(2, size=len(moved)) * 2 - 1 for _ in range(draws))
        p = _share(np.array([float(sign @ moved) / len(a) for sign in signs]), observed)
    return Difference(observed, _interval(differences, seed), p, len(a))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values of several tests, so raised that one false find among all is as rare as one alone.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none may be smaller than
    one before it, or above 1 (Holm, Scandinavian Journal of Statistics 1979).

    Returns:
        In the order in which they were given.
    """
    raised: dict[str, float] = {}
    least = 0.0
    for before, name in enumerate(sorted(p_values, key=lambda name: (p_values[name], name))):
        least = max(least, min(1.0, (len(p_values) - before) * p_values[name]))
        raised[name] = least
    return {name: raised[name] for name in p_values}


def _differences(a: Sequence[float], b: Sequence[float]) -> npt.NDArray[np.float64]:
    if len(a) != len(b) or not len(a):
        raise InputError(
            f"{len(a)} and {len(b)} values cannot be paired: give one of each system for every"
            " query, and at least one query"
        )
    differences = np.asarray(b, np.float64) - np.asarray(a, np.float64)
    if not np.isfinite(differences).all():
        at = int(np.argmin(np.isfinite(differences)))
        raise InputError(f"value {at} is {a[at]} and {b[at]}: leave out what has no value")
    return differences


def _interval(differences: npt.NDArray[np.float64], seed: int) -> tuple[float, float]:
    means = resampled_means(differences[None], resamples=RESAMPLES, seed=seed)[0]
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def _share(null: npt.NDArray[np.float64], observed: float) -> float:
    """Share at least as far from 0; what was found counts as one of them, so that p is not 0."""
    as_far = int(np.sum(np.abs(null) >= abs(observed) - ROUNDING))
    return math.fsum([1, as_far]) / (len(null) + 1)
