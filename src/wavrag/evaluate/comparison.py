"""Comparison of two systems on the same queries: differences, significance, changed queries.

Works on the result files of `wavrag eval --json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from wavrag.errors import InputError
from wavrag.evaluate.metrics import CONFIDENCE, METRICS, mean
from wavrag.evaluate.results import Figures, query_text, system_name, task_name
from wavrag.evaluate.significance import Difference, holm, paired_randomisation

METRIC = "ndcg@10"  # default metric of the list of changed queries


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """Means of one metric in two systems, and the paired randomisation test of their difference.

    `p_holm` is its p-value, adjusted by Holm's method over all comparisons of the metric.
    """

    metric: str
    a: float
    b: float
    test: Difference
    p_holm: float


@dataclass(frozen=True, slots=True)
class QueryChange:
    """A query with different values in two systems; `text` is empty if its words are unknown."""

    id: str
    text: str
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of two systems on one task, both by their names."""

    task: str
    a: str
    b: str
    queries: int  # in both runs
    unpaired: int  # queries in one run only
    metrics: tuple[MetricComparison, ...]
    better: int  # queries on which the second system is better by the chosen metric
    worse: int
    changes: tuple[QueryChange, ...]  # largest differences in that metric


def compare_results(
    first: Sequence[Figures],
    second: Sequence[Figures] | None = None,
    *,
    metric: str = METRIC,
    max_changes: int = 10,
    names: tuple[str, str] = ("A", "B"),
) -> list[Comparison]:
    """Compare the systems of two runs, or the systems of one run with each other.

    In two runs, systems with the same name and legs are compared; without a common name, each
    system of the first run is compared with those of the second that have the same legs. In one
    run, the first embedder is compared with each of the others. `metric` and `max_changes` apply to
    the list of changed queries; `names` of the runs tell systems with the same name apart.

    Raises:
        InputError: the runs have no comparable systems.
    """
    comparisons = []
    for tasks, systems in _pair_systems(first, second):
        comparison = _compare_systems(tasks, systems, metric, max_changes)
        if comparison.a == comparison.b:  # the same system in two runs
            a, b = (f"{run}: {comparison.a}" for run in names)
            comparison = replace(comparison, a=a, b=b)
        comparisons.append(comparison)
    if not comparisons:
        raise InputError(
            "there is nothing to compare: give one file with two embedders, or two files with a"
            " task and legs in common"
        )
    return _adjust_p_values(comparisons)


def format_comparison(comparisons: Sequence[Comparison], metric: str = METRIC) -> str:
    """Format comparisons as text: a block for each, then a legend of the columns."""
    lines = []
    for comparison in comparisons:
        lines.append(
            f"{comparison.task}: {comparison.a} (A) and {comparison.b} (B),"
            f" {comparison.queries:,} queries"
        )
        if comparison.unpaired:
            lines.append(f"left out: {comparison.unpaired:,} queries that only one run contains")
        lines.append(
            f"{'':<10}  {'A':>6}  {'B':>6}  {'B - A':>7}  {'95% interval':<16}  p        Holm"
        )
        for row in comparison.metrics:
            low, high = row.test.ci95
            lines.append(
                f"{row.metric:<10}  {row.a:6.3f}  {row.b:6.3f}  {row.test.difference:+7.3f}"
                f"  [{low:+.3f} {high:+.3f}]  {row.test.p:<7.4f}  {row.p_holm:.4f}"
            )
        lines.append(
            f"by {metric}, B is better on {comparison.better:,} queries and worse on"
            f" {comparison.worse:,}"
        )
        lines += [
            f"  {change.id}  {change.a:.3f} -> {change.b:.3f}  {change.text[:70]}".rstrip()
            for change in comparison.changes
        ]
        lines.append("")
    lines.append(
        f"{CONFIDENCE:.0%} interval: bootstrap over queries. p: two-sided, paired randomisation"
        " test. Holm: p, adjusted for all comparisons of the metric above."
    )
    return "\n".join(lines)


def comparisons_to_list(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Convert comparisons to their JSON form."""
    return [
        asdict(comparison)
        | {
            "metrics": {
                row.metric: {
                    "a": round(row.a, 4),
                    "b": round(row.b, 4),
                    "difference": round(row.test.difference, 4),
                    "ci95": [round(end, 4) for end in row.test.ci95],
                    "p": round(row.test.p, 5),  # the smallest possible p is 1 / 10,001
                    "p_holm": round(row.p_holm, 5),
                }
                for row in comparison.metrics
            }
        }
        for comparison in comparisons
    ]


def _pair_systems(
    first: Sequence[Figures], second: Sequence[Figures] | None
) -> list[tuple[tuple[Figures, Figures], tuple[Figures, Figures]]]:
    """Pair systems: each time the two tasks, then their two systems."""
    pairs = []
    if second is None:
        for task in first:
            baselines: dict[str, Figures] = {}  # the first system with each choice of legs
            for system in task["systems"]:
                baseline = baselines.setdefault(system["legs"], system)
                if baseline is not system:
                    pairs.append(((task, task), (baseline, system)))
        return pairs
    for task in first:
        for candidate in second:
            if task_name(task) != task_name(candidate):
                continue
            # A renamed embedder has no counterpart by name, but still the same legs.
            common = {system_name(system) for system in task["systems"]}
            common &= {system_name(system) for system in candidate["systems"]}
            pairs += [
                ((task, candidate), (a, b))
                for a in task["systems"]
                for b in candidate["systems"]
                if (system_name(a) == system_name(b) if common else a["legs"] == b["legs"])
            ]
    return pairs


def _compare_systems(
    tasks: tuple[Figures, Figures], systems: tuple[Figures, Figures], metric: str, max_changes: int
) -> Comparison:
    task = tasks[0]
    # The runs may have sampled other queries, or have them in another order: pair them by id.
    rows = [{query["id"]: row for row, query in enumerate(run["queries"])} for run in tasks]
    ids = [id for id in rows[0] if id in rows[1]]
    if not ids:
        raise InputError(f"{task_name(task)}: the two runs have no query in common")
    a, b = (
        {name: [numbers[index[id]] for id in ids] for name, numbers in system["values"].items()}
        for index, system in zip(rows, systems, strict=True)
    )
    names = [name for name in METRICS if name in a and name in b]
    if metric not in names:
        raise InputError(f"unknown metric {metric!r}: choose one of {', '.join(names)}")
    changes = _list_changes(
        {id: query_text(task["queries"][rows[0][id]]) for id in ids}, a[metric], b[metric]
    )
    return Comparison(
        task=task_name(task),
        a=system_name(systems[0]),
        b=system_name(systems[1]),
        queries=len(ids),
        unpaired=len(rows[0]) + len(rows[1]) - 2 * len(ids),
        # Holm's method needs the p-values of all comparisons: `_adjust_p_values` sets `p_holm`.
        metrics=tuple(
            MetricComparison(
                name, mean(a[name]), mean(b[name]), paired_randomisation(a[name], b[name]), p_holm=1
            )
            for name in names
        ),
        better=sum(change.b > change.a for change in changes),
        worse=sum(change.b < change.a for change in changes),
        changes=tuple(changes[:max_changes]),
    )


def _list_changes(
    texts: Mapping[str, str], a: Sequence[float], b: Sequence[float]
) -> list[QueryChange]:
    """List the queries with different values, largest difference first, ties by id."""
    changes = [
        QueryChange(id, text, value_a, value_b)
        for (id, text), value_a, value_b in zip(texts.items(), a, b, strict=True)
        if value_a != value_b  # exact: both files round to the same number of digits
    ]
    return sorted(changes, key=lambda change: (-abs(change.b - change.a), change.id))


def _adjust_p_values(comparisons: Sequence[Comparison]) -> list[Comparison]:
    p_values: dict[str, dict[str, float]] = {}
    for number, comparison in enumerate(comparisons):
        for row in comparison.metrics:
            p_values.setdefault(row.metric, {})[str(number)] = row.test.p
    adjusted_p = {metric: holm(values) for metric, values in p_values.items()}
    return [
        replace(
            comparison,
            metrics=tuple(
                replace(row, p_holm=adjusted_p[row.metric][str(number)])
                for row in comparison.metrics
            ),
        )
        for number, comparison in enumerate(comparisons)
    ]
