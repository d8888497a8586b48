"""Paired significance tests: does one system beat another on the same queries?

Pure functions of numbers; random draws have a fixed seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wavrag.errors import InputError
from wavrag.evaluate.metrics import SEED, confidence_interval, mean, resample_means

DRAWS = 10_000  # random draws for a p-value; the smallest possible p is then 1 / 10,001
EXACT_QUERIES = 13  # up to here, all 2^n sign patterns are fewer than DRAWS: enumerate them
ROUNDING = 1e-12  # means closer than this are equal: sums of floats depend on their order


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of the second system from the first."""

    difference: float  # mean of the second system minus mean of the first
    ci95: tuple[float, float]  # lower and upper end of the bootstrap interval of the difference
    p: float  # two-sided p-value: the probability of a difference at least as large by chance alone
    n: int  # number of queries


def paired_bootstrap(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Test a difference by resampling queries, each with the values of both systems.

    p is the share of samples with a mean difference, shifted to the null hypothesis, at least as
    far from 0 as the observed one (Efron and Tibshirani 1993, chapter 16; for retrieval Smucker,
    Allan and Carterette, CIKM 2007). It is too small for fewer than about 30 queries: use
    `paired_randomisation` there.

    Args:
        a: values of the first system, one per query.
        b: values of the second system, for the same queries in the same order.

    Raises:
        InputError: there are no queries, the lengths differ, or a value is not finite.

    Example:
        >>> paired_bootstrap([0, 0], [0, 1]).difference
        0.5
    """
    differences = _subtract(a, b)
    observed = mean(differences.tolist())
    null = resample_means(differences[None] - observed, DRAWS)[0]
    return Difference(
        observed, confidence_interval(differences.tolist()), _p_value(null, observed), len(a)
    )


def paired_randomisation(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Test a difference by swapping the two systems' values of random queries (Fisher's test).

    If the systems were equally good, all 2^n swaps would be equally likely. For up to 13 queries
    with different values, p is exact; for more, it is estimated from 10,000 random swaps. The
    interval is the bootstrap interval. Arguments and errors are those of `paired_bootstrap`.

    Example:
        >>> paired_randomisation([0, 0, 0], [1, 1, 1]).p
        0.25
    """
    differences = _subtract(a, b)
    observed = mean(differences.tolist())
    # Swapping equal values changes nothing, so these queries do not affect p.
    nonzero = differences[differences != 0]
    if len(nonzero) <= EXACT_QUERIES:
        # Bit i of a pattern is the sign of query i.
        patterns = np.arange(2 ** len(nonzero))[:, None] >> np.arange(len(nonzero)) & 1
        means = (patterns * 2 - 1) @ nonzero / len(a)
        p = float(np.mean(np.abs(means) >= abs(observed) - ROUNDING))
    else:
        generator = np.random.default_rng(SEED)
        # One pattern at a time: 10,000 of them for 10,000 queries take 0.8 GB.
        signs = (generator.integers(2, size=len(nonzero)) * 2 - 1 for _ in range(DRAWS))
        p = _p_value(np.array([float(sign @ nonzero) / len(a) for sign in signs]), observed)
    return Difference(observed, confidence_interval(differences.tolist()), p, len(a))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust the p-values of several tests by Holm's method.

    It bounds the probability of any false positive among all tests. The smallest of m values is
    multiplied by m, the next by m - 1, and so on; the results never decrease and never exceed 1
    (Holm, Scandinavian Journal of Statistics 1979).

    Returns:
        Adjusted p-values in the order of the input.

    Example:
        >>> holm({"a": 0.4, "b": 0.6})
        {'a': 0.8, 'b': 0.8}
    """
    adjusted_p: dict[str, float] = {}
    floor = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: (p_values[name], name))):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted_p[name] = floor
    return {name: adjusted_p[name] for name in p_values}


def _subtract(a: Sequence[float], b: Sequence[float]) -> npt.NDArray[np.float64]:
    if len(a) != len(b) or not len(a):
        raise InputError(
            f"{len(a)} and {len(b)} values cannot be paired: give one value of each system for"
            " every query, and at least one query"
        )
    differences = np.asarray(b, np.float64) - np.asarray(a, np.float64)
    if not np.isfinite(differences).all():
        index = int(np.argmin(np.isfinite(differences)))
        raise InputError(f"value {index} is {a[index]} and {b[index]}: remove values not finite")
    return differences


def _p_value(null: npt.NDArray[np.float64], difference: float) -> float:
    """Compute the share of null means at least as far from 0 as the observed mean."""
    extreme = int(np.sum(np.abs(null) >= abs(difference) - ROUNDING))
    # The observation counts as one of the draws, so that p is never 0.
    return (1 + extreme) / (len(null) + 1)
