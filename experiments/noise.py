"""Noise: robustness of spoken questions with the retriever and with cascades.

Spoken questions retrieve paragraphs. Each question is clean or under one of four disturbances at
five ratios, and all systems get the same samples.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from experiments.base import Cell, Column, Context, Experiment, Results, Table, estimate
from experiments.noises import ROOM_SECONDS, Disturb, disturbances, talkers_of
from experiments.plots import drawing, lines
from experiments.search import (
    ComparedSystem,
    ExperimentIndex,
    Rankings,
    crossing,
    draw_sample,
    falls_to,
    list_systems,
    metric_values,
    paragraphs,
    search_all,
    untrained_sentences,
)
from wavrag.audio import SAMPLE_RATE, load
from wavrag.data import Qrels
from wavrag.evaluate import Legs, mean
from wavrag.types import Clip, Query

QUESTIONS = 100  # of 320 spoken questions
LEVELS = (20, 10, 5, 0, -5)  # dB
QUICK_LEVELS = (20, 0)
CLEAN = 30  # dB; position of clean questions on the axis and for interpolation
METRIC = "recall@10"
NAMES = {
    "babble": "babble of 5 talkers",
    "music": "synthesised music",
    "white": "white noise",
    "room": f"reverberation, {ROOM_SECONDS:g} s",
}


@dataclass(frozen=True, slots=True)
class _NoiseResults:
    """Rankings of all systems under all conditions.

    Attributes:
        systems: compared systems, the retriever first.
        axis: ratios in dB from mild to hard, the clean condition first.
        rankings: by system, disturbance and ratio; every disturbance includes the clean condition.
        qrels: judgements of the questions.
        paragraph_count: number of paragraphs.
    """

    systems: Sequence[ComparedSystem]
    axis: Sequence[int]
    rankings: Mapping[tuple[str, str, int], Rankings]
    qrels: Qrels
    paragraph_count: int

    def scores(
        self,
        system: ComparedSystem,
        kind: str,
        level: int,
        leg: Legs = "fused",
        metric: str = METRIC,
    ) -> list[float]:
        """Compute a metric for each question."""
        return metric_values(self.rankings[system.key, kind, level], leg, self.qrels, metric)

    def curve(self, system: ComparedSystem, kind: str) -> list[float]:
        """Compute the mean at each ratio of the axis."""
        return [mean(self.scores(system, kind, level)) for level in self.axis]


def run(context: Context) -> Results:
    """Run every question under every disturbance."""
    questions = draw_sample(
        context.rows("speech/squad_eval_kokoro.jsonl"), context.size(QUESTIONS), context.seed
    )
    levels = QUICK_LEVELS if context.quick else LEVELS
    systems, left_out = list_systems(context)
    documents = paragraphs(context)
    disturbances_by_name = disturbances(talkers_of(untrained_sentences(context), context.data))
    conditions = [("clean", CLEAN), *((kind, level) for kind in NAMES for level in levels)]
    rankings: dict[tuple[str, str, int], Rankings] = {}
    completed, total = 0, len(systems) * len(conditions)
    for system in systems:
        with ExperimentIndex(system.embedder, documents) as index:
            for kind, level in conditions:
                context.on_progress("noise", completed, total)
                queries = {
                    row["id"]: partial(
                        _query, context, row, kind, level, disturbances_by_name.get(kind)
                    )
                    for row in questions
                }
                results = context.step(
                    f"{system.key}-{kind}{level:+d}dB",
                    partial(search_all, index, queries),
                    {"embedder": system.embedder},
                )
                for name in NAMES if kind == "clean" else [kind]:
                    rankings[system.key, name, level] = results
                completed += 1
    qrels = {row["id"]: {row["positive"]: 1.0} for row in questions}
    results = _NoiseResults(systems, (CLEAN, *levels), rankings, qrels, len(documents))
    _draw(context, results)
    return Results(
        (_recall_table(results), _legs_table(results), _half_table(results)),
        figures={"curves": "curves.png"},
        captions={"curves": "Recall@10 by kind and ratio of the disturbance, one line a system"},
        findings=tuple(_findings(results)),
        left_out=tuple(left_out),
    )


def _query(
    context: Context, row: Mapping[str, Any], kind: str, level: int, disturb: Disturb | None
) -> Query:
    samples = load(context.data / row["audio"], SAMPLE_RATE).samples
    if disturb is not None:
        # The same draw at every ratio: only the loudness changes.
        key = zlib.crc32(f"{kind} {row['id']}".encode())
        samples = disturb(samples, level, np.random.default_rng([context.seed, key]))
    return Query(clip=Clip(samples, SAMPLE_RATE))


def _recall_table(results: _NoiseResults) -> Table:
    return _by_condition(
        results,
        "recall",
        f"Recall@10, both legs fused, {len(results.qrels)} spoken questions to"
        f" {results.paragraph_count:,} paragraphs",
        columns=[Column(system.label) for system in results.systems],
        cells=lambda kind, level: [
            estimate(results.scores(s, kind, level)) for s in results.systems
        ],
        note="In brackets 95 % bootstrap intervals over questions. The ratio is of speech to noise"
        " over the whole clip; for reverberation, of direct to reverberant energy.",
    )


def _legs_table(results: _NoiseResults) -> Table:
    columns_shown: list[tuple[str, Legs, str]] = [
        ("dense @10", "dense", METRIC),
        ("lexical @10", "lexical", METRIC),
        ("fused @1", "fused", "recall@1"),
    ]
    return _by_condition(
        results,
        "legs",
        "Recall of each leg alone among ten, and of both at the first place",
        columns=[
            Column(f"{s.label}: {name}", 2) for s in results.systems for name, _, _ in columns_shown
        ],
        cells=lambda kind, level: [
            mean(results.scores(system, kind, level, leg, metric))
            for system in results.systems
            for _, leg, metric in columns_shown
        ],
    )


def _by_condition(
    results: _NoiseResults,
    name: str,
    title: str,
    *,
    columns: Sequence[Column],
    cells: Callable[[str, int], Sequence[Cell]],
    note: str = "",
) -> Table:
    rows: list[tuple[Cell, ...]] = [("none", None, *cells(next(iter(NAMES)), CLEAN))]
    rows += [
        (label, level, *cells(kind, level))
        for kind, label in NAMES.items()
        for level in results.axis[1:]
    ]
    heads = (Column("disturbance"), Column("ratio, dB"), *columns)
    return Table(name, title, heads, tuple(rows), note)


def _half_table(results: _NoiseResults) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind, label in NAMES.items():
        curves = [results.curve(system, kind) for system in results.systems]
        rows.append((label, *(falls_to(results.axis, curve, curve[0] / 2) for curve in curves)))
    return Table(
        "half",
        "Ratio at which recall@10 has fallen to half of that of clean questions, dB",
        (Column("disturbance"), *(Column(system.label, 1) for system in results.systems)),
        tuple(rows),
        f"By straight lines between the points, the clean one at {CLEAN} dB; a dash where it does"
        " not fall so far.",
    )


def _findings(results: _NoiseResults) -> list[str]:
    retriever, *cascades = results.systems
    sentences = []
    for kind, label in NAMES.items():
        for cascade in cascades:
            retriever_curve, cascade_curve = (
                results.curve(retriever, kind),
                results.curve(cascade, kind),
            )
            gaps = [a - b for a, b in zip(retriever_curve, cascade_curve, strict=True)]
            ratio = crossing(results.axis, retriever_curve, cascade_curve)
            curves = f"{label}: the curves of {retriever.label} and {cascade.label}"
            hardest = f"{results.axis[-1]} dB"
            if ratio is not None:
                sentences.append(
                    f"{curves} cross at {ratio:.1f} dB; at {hardest} they are {gaps[-1]:+.2f}"
                    " apart."
                )
            else:
                sentences.append(
                    f"{curves} do not cross: they are {gaps[0]:+.2f} apart on clean questions,"
                    f" {gaps[-1]:+.2f} at {hardest}."
                )
    return sentences


def _draw(context: Context, results: _NoiseResults) -> None:
    with drawing(context.out / "curves.png", 7.6, 6.0, rows=2, columns=2) as panes:
        for pane, (kind, label) in zip(panes, NAMES.items(), strict=True):
            series = {
                system.label: [
                    estimate(results.scores(system, kind, level)) for level in results.axis
                ]
                for system in results.systems
            }
            ratio = "direct-to-reverberant ratio" if kind == "room" else "signal-to-noise ratio"
            lines(pane, results.axis, series, xlabel=f"{ratio}, dB", ylabel=METRIC, title=label)
            pane.set_xticks(results.axis, ["clean", *map(str, results.axis[1:])])
            pane.set_ylim(0, 1.02)
            pane.invert_xaxis()
        panes[0].legend(loc="lower left")


EXPERIMENT = Experiment(
    name="noise",
    title="Noise",
    question="How robust are spoken questions to noise of several kinds, and where do retriever"
    " and cascades change places?",
    version=1,
    run=run,
)
