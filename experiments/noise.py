"""Noise: what spoken questions stand, from the retriever and from cascades.

Spoken questions to paragraphs. Each question is asked clean and under four disturbances at five
ratios; all systems hear the very same sound.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from experiments.asked import (
    Asked,
    Ranked,
    System,
    ask_all,
    crossing,
    falls_to,
    paragraphs,
    sample,
    systems,
    untrained_sentences,
    values,
)
from experiments.base import (
    Cell,
    Column,
    Context,
    Experiment,
    Results,
    Table,
    estimate,
)
from experiments.noises import (
    ROOM_SECONDS,
    Disturb,
    disturbances,
    talkers_of,
)
from experiments.plots import drawing, lines
from wavrag.audio import SAMPLE_RATE, load
from wavrag.data import Qrels
from wavrag.evaluate import Legs, mean
from wavrag.types import Clip, Query

QUESTIONS = 100  # of the 320 spoken ones
LEVELS = (20, 10, 5, 0, -5)  # dB
QUICK_LEVELS = (20, 0)
CLEAN = 30  # dB; where the undisturbed questions stand on an axis, and for interpolation
METRIC = "recall@10"
NAMES = {
    "babble": "babble of 5 talkers",
    "music": "synthesised music",
    "white": "white noise",
    "room": f"reverberation, {ROOM_SECONDS:g} s",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was found.

    Attributes:
        compared: the retriever first.
        axis: ratios in dB from mild to hard, the clean condition first.
        ranked: by system, disturbance and ratio; the clean condition under each disturbance.
        qrels: of the questions.
        entries: paragraphs.
    """

    compared: Sequence[System]
    axis: Sequence[int]
    ranked: Mapping[tuple[str, str, int], Ranked]
    qrels: Qrels
    entries: int

    def scores(
        self, system: System, kind: str, level: int, leg: Legs = "fused", metric: str = METRIC
    ) -> list[float]:
        """A metric of each question."""
        return values(self.ranked[system.key, kind, level], leg, self.qrels, metric)

    def curve(self, system: System, kind: str) -> list[float]:
        """The mean at each place of the axis."""
        return [mean(self.scores(system, kind, level)) for level in self.axis]


def run(context: Context) -> Results:
    """Ask every question under every disturbance."""
    questions = sample(
        context.rows("speech/squad_eval_kokoro.jsonl"), context.size(QUESTIONS), context.seed
    )
    levels = QUICK_LEVELS if context.quick else LEVELS
    compared, left_out = systems(context)
    documents = paragraphs(context)
    disturbing = disturbances(talkers_of(untrained_sentences(context), context.data))
    conditions = [("clean", CLEAN), *((kind, level) for kind in NAMES for level in levels)]
    ranked: dict[tuple[str, str, int], Ranked] = {}
    done, total = 0, len(compared) * len(conditions)
    for system in compared:
        with Asked(system.embedder, documents) as asked:
            for kind, level in conditions:
                context.on_progress("noise", done, total)
                queries = {
                    row["id"]: partial(_query, context, row, kind, level, disturbing.get(kind))
                    for row in questions
                }
                found = context.step(
                    f"{system.key}-{kind}{level:+d}dB",
                    partial(ask_all, asked, queries),
                    {"embedder": system.embedder},
                )
                for name in NAMES if kind == "clean" else [kind]:
                    ranked[system.key, name, level] = found
                done += 1
    qrels = {row["id"]: {row["positive"]: 1.0} for row in questions}
    found = _Asked(compared, (CLEAN, *levels), ranked, qrels, len(documents))
    _draw(context, found)
    return Results(
        (_recall_table(found), _legs_table(found), _half_table(found)),
        figures={"curves": "curves.png"},
        captions={"curves": "Recall@10 by kind and ratio of the disturbance, one line a system"},
        findings=tuple(_findings(found)),
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


def _recall_table(found: _Asked) -> Table:
    return _by_condition(
        found,
        "recall",
        f"Recall@10, both legs fused, {len(found.qrels)} spoken questions to {found.entries:,}"
        " paragraphs",
        columns=[Column(system.label) for system in found.compared],
        cells=lambda kind, level: [estimate(found.scores(s, kind, level)) for s in found.compared],
        note="In brackets 95 % bootstrap intervals over questions. The ratio is of speech to noise"
        " over the whole clip; for reverberation, of direct to reverberant energy.",
    )


def _legs_table(found: _Asked) -> Table:
    shown: list[tuple[str, Legs, str]] = [
        ("dense @10", "dense", METRIC),
        ("lexical @10", "lexical", METRIC),
        ("fused @1", "fused", "recall@1"),
    ]
    return _by_condition(
        found,
        "legs",
        "Recall of each leg alone among ten, and of both at the first place",
        columns=[Column(f"{s.label}: {name}", 2) for s in found.compared for name, _, _ in shown],
        cells=lambda kind, level: [
            mean(found.scores(system, kind, level, leg, metric))
            for system in found.compared
            for _, leg, metric in shown
        ],
    )


def _by_condition(
    found: _Asked,
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
        for level in found.axis[1:]
    ]
    heads = (Column("disturbance"), Column("ratio, dB"), *columns)
    return Table(name, title, heads, tuple(rows), note)


def _half_table(found: _Asked) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind, label in NAMES.items():
        curves = [found.curve(system, kind) for system in found.compared]
        rows.append((label, *(falls_to(found.axis, curve, curve[0] / 2) for curve in curves)))
    return Table(
        "half",
        "Ratio at which recall@10 has fallen to half of that of clean questions, dB",
        (Column("disturbance"), *(Column(system.label, 1) for system in found.compared)),
        tuple(rows),
        f"By straight lines between the points, the clean one at {CLEAN} dB; a dash where it does"
        " not fall so far.",
    )


def _findings(found: _Asked) -> list[str]:
    retriever, *cascades = found.compared
    sentences = []
    for kind, label in NAMES.items():
        for cascade in cascades:
            ours, theirs = found.curve(retriever, kind), found.curve(cascade, kind)
            gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
            at = crossing(found.axis, ours, theirs)
            curves = f"{label}: the curves of {retriever.label} and {cascade.label}"
            hardest = f"{found.axis[-1]} dB"
            if at is not None:
                sentences.append(
                    f"{curves} cross at {at:.1f} dB; at {hardest} they are {gaps[-1]:+.2f} apart."
                )
            else:
                sentences.append(
                    f"{curves} do not cross: they are {gaps[0]:+.2f} apart on clean questions,"
                    f" {gaps[-1]:+.2f} at {hardest}."
                )
    return sentences


def _draw(context: Context, found: _Asked) -> None:
    with drawing(context.out / "curves.png", 7.6, 6.0, rows=2, columns=2) as panes:
        for pane, (kind, label) in zip(panes, NAMES.items(), strict=True):
            series = {
                system.label: [estimate(found.scores(system, kind, level)) for level in found.axis]
                for system in found.compared
            }
            ratio = "direct-to-reverberant ratio" if kind == "room" else "signal-to-noise ratio"
            lines(pane, found.axis, series, xlabel=f"{ratio}, dB", ylabel=METRIC, title=label)
            pane.set_xticks(found.axis, ["clean", *map(str, found.axis[1:])])
            pane.set_ylim(0, 1.02)
            pane.invert_xaxis()
        panes[0].legend(loc="lower left")


EXPERIMENT = Experiment(
    name="noise",
    title="Noise",
    question="How much noise of which kind does a spoken question stand, and where do retriever"
    " and cascades change places?",
    version=1,
    run=run,
)
