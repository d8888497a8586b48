"""Two systems on the same queries: how far apart, how sure, and where.

Works on figures that `wavrag eval --json` wrote; measures nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from wavrag.errors import InputError
from wavrag.evaluate.metrics import CONFIDENCE, METRICS, mean
from wavrag.evaluate.results import Figures, name_of, task_of
from wavrag.evaluate.significance import Difference, holm, paired_randomisation

METRIC = "ndcg@10"  # by which queries are said to have changed


@dataclass(frozen=True, slots=True)
class Paired:
    """One metric of two systems.

    Attributes:
        metric: its name.
        a: mean of the first.
        b: mean of the second.
        test: their difference, by the paired randomisation test.
        p_holm: its p, raised by Holm's correction over all comparisons of this metric.
    """

    metric: str
    a: float
    b: float
    test: Difference
    p_holm: float


@dataclass(frozen=True, slots=True)
class Change:
    """A query on which two systems differ.

    Attributes:
        query: its id.
        said: its words, as far as they are known.
        a: value of the first.
        b: value of the second.
    """

    query: str
    said: str
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A system against another on one task.

    Attributes:
        task: its name.
        a: name of the first system.
        b: name of the second.
        queries: that both were asked.
        left_out: that only one was asked.
        rows: a metric each.
        changed: queries on which they differ most, by the metric that was asked for.
        better: on how many queries the second is better by it.
        worse: on how many it is worse.
    """

    task: str
    a: str
    b: str
    queries: int
    left_out: int
    rows: tuple[Paired, ...]
    changed: tuple[Change, ...]
    better: int
    worse: int


def compare_results(
    first: Sequence[Figures],
    second: Sequence[Figures] | None = None,
    *,
    metric: str = METRIC,
    changed: int = 10,
    names: tuple[str, str] = ("A", "B"),
) -> list[Comparison]:
    """Compare the systems of two runs, or those of one with each other.

    Of two runs, systems of one name and legs are compared; where no name is in both, each system
    of the first with each of the second that has the same legs. Of one run, the first embedder
    with each of the others.

    Args:
        first: tasks, as `evaluations` reads them.
        second: tasks of another run.
        metric: by which queries are said to have changed.
        changed: most queries to name.
        names: of the two runs, put before systems of one name.

    Raises:
        InputError: there is nothing to compare.
    """
    found = []
    for task, other, a, b in _pairs(first, second):
        labels = [name_of(a), name_of(b)]
        if labels[0] == labels[1]:
            labels = [f"{run}: {label}" for run, label in zip(names, labels, strict=True)]
        paired = _compare((task, other), (a, b), metric, changed)
        found.append(replace(paired, a=labels[0], b=labels[1]))
    if not found:
        raise InputError(
            "there is nothing to compare: give one file with two embedders, or two files with a"
            " task and legs in common"
        )
    return _corrected(found)


def _pairs(
    first: Sequence[Figures], second: Sequence[Figures] | None
) -> list[tuple[Figures, Figures, Figures, Figures]]:
    pairs = []
    if second is None:
        for task in first:
            heads: dict[str, Figures] = {}
            for system in task["systems"]:
                head = heads.setdefault(system["legs"], system)
                if head is not system:
                    pairs.append((task, task, head, system))
        return pairs
    for task in first:
        for other in second:
            if task_of(task) != task_of(other):
                continue
            same = {name_of(one) for one in task["systems"]}
            same &= {name_of(one) for one in other["systems"]}
            pairs += [
                (task, other, a, b)
                for a in task["systems"]
                for b in other["systems"]
                if (name_of(a) == name_of(b) if same else a["legs"] == b["legs"])
            ]
    return pairs


def _compare(
    tasks: tuple[Figures, Figures], systems: tuple[Figures, Figures], metric: str, changed: int
) -> Comparison:
    task = tasks[0]
    rows_of = [{one["id"]: row for row, one in enumerate(each["asked"])} for each in tasks]
    ids = [id for id in rows_of[0] if id in rows_of[1]]
    if not ids:
        raise InputError(f"{task_of(task)}: the two runs have no query in common")
    values = [
        {name: [each[rows[id]] for id in ids] for name, each in system["values"].items()}
        for rows, system in zip(rows_of, systems, strict=True)
    ]
    metrics = [name for name in METRICS if name in values[0] and name in values[1]]
    if metric not in metrics:
        raise InputError(f"no metric is called {metric!r} here: choose one of {', '.join(metrics)}")
    rows = []
    for name in metrics:
        test = paired_randomisation(values[0][name], values[1][name])
        rows.append(Paired(name, mean(values[0][name]), mean(values[1][name]), test, test.p))
    said = [said_of(task["asked"][rows_of[0][id]]) for id in ids]
    changes = [
        Change(*each)
        for each in zip(ids, said, values[0][metric], values[1][metric], strict=True)
        if each[2] != each[3]
    ]
    changes.sort(key=lambda change: (-abs(change.b - change.a), change.query))
    return Comparison(
        task=task_of(task),
        a=name_of(systems[0]),
        b=name_of(systems[1]),
        queries=len(ids),
        left_out=len(rows_of[0]) + len(rows_of[1]) - 2 * len(ids),
        rows=tuple(rows),
        changed=tuple(changes[:changed]),
        better=sum(change.b > change.a for change in changes),
        worse=sum(change.b < change.a for change in changes),
    )


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    raised = {
        metric: holm(
            {
                str(number): row.test.p
                for number, comparison in enumerate(comparisons)
                for row in comparison.rows
                if row.metric == metric
            }
        )
        for metric in {row.metric for comparison in comparisons for row in comparison.rows}
    }
    return [
        replace(
            comparison,
            rows=tuple(
                replace(row, p_holm=raised[row.metric][str(number)]) for row in comparison.rows
            ),
        )
        for number, comparison in enumerate(comparisons)
    ]


def said_of(asked: Figures) -> str:
    """The words of a query, as far as they are known."""
    return str(asked.get("said") or asked.get("text") or asked.get("title") or "")


def comparison_table(comparisons: Sequence[Comparison], metric: str = METRIC) -> str:
    """For people: a block a comparison, then what the columns mean."""
    lines = []
    for one in comparisons:
        lines.append(f"{one.task}: {one.a} (A) and {one.b} (B), {one.queries:,} queries")
        if one.left_out:
            lines.append(f"left out: {one.left_out:,} queries that only one of them was asked")
        lines.append(
            f"{'':<10}  {'A':>6}  {'B':>6}  {'B - A':>7}  {'95% interval':<16}  p        Holm"
        )
        for row in one.rows:
            low, high = row.test.ci95
            lines.append(
                f"{row.metric:<10}  {row.a:6.3f}  {row.b:6.3f}  {row.test.difference:+7.3f}"
                f"  [{low:+.3f} {high:+.3f}]  {row.test.p:<7.4f}  {row.p_holm:.4f}"
            )
        lines.append(
            f"by {metric}, B is better on {one.better:,} queries and worse on {one.worse:,}"
        )
        lines += [
            f"  {change.query}  {change.a:.3f} -> {change.b:.3f}  {change.said[:70]}".rstrip()
            for change in one.changed
        ]
        lines.append("")
    lines.append(
        f"{CONFIDENCE:.0%} interval: bootstrap over queries. p: two-sided, paired randomisation"
        " test. Holm: the same, corrected for all comparisons of the metric above."
    )
    return "\n".join(lines)


def comparison_list(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The shape of comparisons in JSON."""
    return [
        {
            "task": one.task,
            "a": one.a,
            "b": one.b,
            "queries": one.queries,
            "left_out": one.left_out,
            "metrics": {
                row.metric: {
                    "a": round(row.a, 4),
                    "b": round(row.b, 4),
                    "difference": round(row.test.difference, 4),
                    "ci95": [round(end, 4) for end in row.test.ci95],
                    "p": round(row.test.p, 5),
                    "p_holm": round(row.p_holm, 5),
                }
                for row in one.rows
            },
            "better": one.better,
            "worse": one.worse,
            "changed": [
                {"id": change.query, "said": change.said, "a": change.a, "b": change.b}
                for change in one.changed
            ],
        }
        for one in comparisons
    ]
