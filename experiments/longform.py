"""Long recordings: retrieval of facts at any position in up to an hour of speech, and its cost.

Facts are synthesised sentences with answers to real web questions, placed at known times among
sentences read by people. Three ways to index such a recording are compared: the windows of the
product, one vector for a long span, and transcripts of chunks of equal length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from experiments.base import Cell, Column, Context, Experiment, Results, Table, estimate
from experiments.indexing import QUESTION_KINDS, SPANS, WAYS, index_in_process
from experiments.long_recording import Fact, facts_of, path_of, record
from experiments.plots import drawing, lines
from wavrag.errors import InputError
from wavrag.evaluate import LEGS, mean

MINUTES = (10, 20, 30, 60)
QUICK_MINUTES = (1,)
FIFTHS = 5  # sections of a recording for the statistics of positions


def run(context: Context) -> Results:
    """Index each recording in each way in a separate process, and search for every fact."""
    longest = context.options["longest"]
    minutes = QUICK_MINUTES if context.quick else tuple(m for m in MINUTES if m <= longest)
    if not minutes:
        raise InputError(f"longest={longest:g} leaves no recording: {MINUTES[0]} minutes or more")
    facts = facts_of(context)
    runs: dict[tuple[str, int], dict[str, Any]] = {}
    completed, total = 0, len(minutes) * (1 + len(WAYS))
    locations = {}
    for length in minutes:
        context.on_progress("longform", completed, total)
        locations[length] = context.step(
            f"recording-{length}min", partial(record, context, facts, length)
        )
        completed += 1
        for way in WAYS:
            context.on_progress("longform", completed, total)
            runs[way, length] = context.step(
                f"{way}-{length}min",
                partial(index_in_process, path_of(context, length), facts, way),
            )
            completed += 1
    scores = _scores(runs, locations, facts)
    _draw(context, minutes, scores, locations)
    shorter = [f"{m} minutes" for m in MINUTES if m > minutes[-1] and not context.quick]
    return Results(
        (
            _length_table(minutes, scores, len(facts)),
            _position_table(minutes, scores, locations),
            _span_table(minutes, runs, locations, facts),
        ),
        figures={"length": "length.png", "position": "position.png"},
        captions={
            "length": "Recall@1 and recall@5 by length of the recording",
            "position": "Recall@5 by fifth of the recording, over all lengths",
        },
        left_out=(
            *([f"Recordings of {' and '.join(shorter)}, by `--set longest`."] if shorter else []),
            "An encoder that hears an hour at once: the retriever hears at most 30 s. One long"
            " input is therefore the mean of the vectors of its windows, as one vector.",
        ),
        timings=(_cost_table(minutes, runs),),
    )


Scores = Mapping[tuple[str, int, str, str, int], Mapping[str, float]]


def _scores(
    runs: Mapping[tuple[str, int], Mapping[str, Any]],
    locations: Mapping[int, Mapping[str, Any]],
    facts: Sequence[Fact],
) -> Scores:
    """Score 1 if a fact is among the first k: by way, length, kind of question, leg, and k."""
    scores: dict[tuple[str, int, str, str, int], dict[str, float]] = {}
    for (way, length), run_result in runs.items():
        for kind in QUESTION_KINDS:
            for leg in LEGS:
                for k in (1, 5, 10):
                    scores[way, length, kind, leg, k] = {
                        fact.id: float(
                            any(
                                _overlap(
                                    run_result["passages"][id], locations[length]["places"][fact.id]
                                )
                                for id in run_result["ranked"][kind][leg][fact.id][:k]
                            )
                        )
                        for fact in facts
                    }
    return scores


def _overlap(passage: Sequence[float], fact: Sequence[float]) -> bool:
    """Tell whether two spans share at least half of the shorter one."""
    shared = min(passage[1], fact[1]) - max(passage[0], fact[0])
    return shared >= 0.5 * min(passage[1] - passage[0], fact[1] - fact[0])


def _length_table(minutes: Sequence[int], scores: Scores, facts: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind in QUESTION_KINDS:
        for length in minutes:
            for way, (_, label) in WAYS.items():
                cells = [
                    estimate(list(scores[way, length, kind, "fused", k].values()))
                    for k in (1, 5, 10)
                ]
                dense = mean(list(scores[way, length, kind, "dense", 5].values()))
                rows.append((kind, length, label, *cells, dense))
    return Table(
        "length",
        f"Share of {facts} facts that are among the first k passages, by length",
        (
            Column("question"),
            Column("minutes"),
            Column("taken in as"),
            *(Column(f"recall@{k}, fused") for k in (1, 5, 10)),
            Column("recall@5, dense"),
        ),
        tuple(rows),
        "A passage counts if it shares half of the shorter of passage and fact. In brackets 95 %"
        " bootstrap intervals over facts.",
    )


def _fifth(span: Sequence[float], seconds: float) -> int:
    return min(FIFTHS - 1, int(FIFTHS * (span[0] + span[1]) / 2 / seconds))


def _by_fifth(
    minutes: Sequence[int], scores: Scores, locations: Mapping[int, Mapping[str, Any]], way: str
) -> list[list[float]]:
    values_by_fifth: list[list[float]] = [[] for _ in range(FIFTHS)]
    for length in minutes:
        for kind in QUESTION_KINDS:
            for id, value in scores[way, length, kind, "fused", 5].items():
                values_by_fifth[
                    _fifth(locations[length]["places"][id], locations[length]["seconds"])
                ].append(value)
    return values_by_fifth


def _position_table(
    minutes: Sequence[int], scores: Scores, locations: Mapping[int, Mapping[str, Any]]
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for way, (_, label) in WAYS.items():
        values_by_fifth = _by_fifth(minutes, scores, locations, way)
        rows.append(
            (label, *(estimate(numbers) if numbers else None for numbers in values_by_fifth))
        )
    return Table(
        "position",
        "Recall@5, fused, by where the fact stands, over all lengths and both kinds of question",
        (Column("taken in as"), *(Column(f"fifth {n + 1}", 2) for n in range(FIFTHS))),
        tuple(rows),
        "The same facts are asked for at every length, at other places; intervals take them for"
        " independent, so they are a little narrow.",
    )


def _span_table(
    minutes: Sequence[int],
    runs: Mapping[tuple[str, int], Mapping[str, Any]],
    locations: Mapping[int, Mapping[str, Any]],
    facts: Sequence[Fact],
) -> Table:
    longest = minutes[-1]
    spans = runs["windows", longest]["spans"]
    rows: list[tuple[Cell, ...]] = []
    for size in SPANS:
        if size * 2 > longest:
            continue
        hits = {
            kind: [
                float(
                    _middle(locations[longest]["places"][fact.id]) // (size * 60)
                    == spans[kind][f"{size:g}"][fact.id][0]
                )
                for fact in facts
            ]
            for kind in QUESTION_KINDS
        }
        count = len(spans["written"][f"{size:g}"][facts[0].id])
        rows.append(
            (f"{size:g}", count, 1 / count, *(estimate(hits[kind]) for kind in QUESTION_KINDS))
        )
    return Table(
        "spans",
        f"One vector for a stretch of the {longest} minutes: is the stretch with the fact first",
        (
            Column("minutes a vector"),
            Column("stretches"),
            Column("chance"),
            *(Column(f"{kind} questions") for kind in QUESTION_KINDS),
        ),
        tuple(rows),
        "The vector of a stretch is the mean of those of the retriever's windows in it.",
    )


def _middle(span: Sequence[float]) -> float:
    return (span[0] + span[1]) / 2


def _cost_table(minutes: Sequence[int], runs: Mapping[tuple[str, int], Mapping[str, Any]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for length in minutes:
        for way, (_, label) in WAYS.items():
            run_result = runs[way, length]
            rows.append(
                (
                    length,
                    label,
                    len(run_result["passages"]),
                    run_result["seconds"],
                    run_result["cpu_seconds"],
                    run_result["cpu_seconds"] / length,
                    run_result["peak_mb"],
                )
            )
    return Table(
        "memory",
        "Indexing a recording in a process of its own, weights loaded in it",
        (
            Column("minutes"),
            Column("taken in as"),
            Column("passages"),
            Column("seconds", 1),
            Column("CPU seconds", 1),
            Column("CPU seconds a minute", 2),
            Column("peak resident, MB", 0),
        ),
        tuple(rows),
        "Seconds are on a machine that others used meanwhile; CPU seconds are of all threads.",
    )


def _draw(
    context: Context,
    minutes: Sequence[int],
    scores: Scores,
    locations: Mapping[int, Mapping[str, Any]],
) -> None:
    with drawing(context.out / "length.png", 7.6, 5.4, rows=2, columns=2) as panes:
        for pane, (kind, k) in zip(
            panes, [(q, k) for q in QUESTION_KINDS for k in (1, 5)], strict=True
        ):
            series = {
                label: [
                    estimate(list(scores[way, length, kind, "fused", k].values()))
                    for length in minutes
                ]
                for way, (_, label) in WAYS.items()
            }
            lines(
                pane, minutes, series, xlabel="length of the recording, minutes",
                ylabel=f"recall@{k}", title=f"{kind} questions",
            )  # fmt: skip
            pane.set_xticks(minutes)
            pane.set_ylim(0, 1.02)
        panes[0].figure.legend(
            *panes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3
        )
    with drawing(context.out / "position.png", 6.4, 3.6) as (pane,):
        values_by_fifth = {way: _by_fifth(minutes, scores, locations, way) for way in WAYS}
        curves = {
            label: [estimate(numbers) if numbers else None for numbers in values_by_fifth[way]]
            for way, (_, label) in WAYS.items()
        }
        centres = [100 * (n + 0.5) / FIFTHS for n in range(FIFTHS)]
        lines(
            pane, centres, curves, xlabel="place of the fact, % of the recording", ylabel="recall@5"
        )
        pane.set_ylim(0, 1.02)
        pane.set_xlim(0, 100)
        pane.legend(loc="lower left")


EXPERIMENT = Experiment(
    name="longform",
    title="Long recordings",
    question="Is a fact retrieved from recordings of 10 to 60 minutes, at any position, and at what"
    " cost in time and memory?",
    version=2,
    run=run,
    options={"longest": float(MINUTES[-1])},  # minutes; longer recordings are left out
)
