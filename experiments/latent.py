"""Embedding space of recordings and texts: similarities of pairs, modality gap, and a map.

Three kinds of pairs: sentences read by native speakers, sentences read by learners, and sounds with
held-out captions.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments import geometry, plots
from experiments.base import Cell, Column, Context, Experiment, Results, Table, estimate
from experiments.vectors import Vectors, add_paper
from wavrag.data import held_out_captions
from wavrag.errors import MissingExtraError
from wavrag.types import Float32

SYSTEMS = ("wavretriever", "cascade")
READ, LEARNERS, SOUNDS = "native speech", "learners' speech", "sounds"
PERPLEXITY = 20  # effective number of neighbours of t-SNE
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Recordings with their texts.

    Attributes:
        kind: kind of recordings.
        paths: paths of the recordings.
        texts: text of each recording; several recordings may share one.
        labels: label of each recording; its matches are the texts with an equal label.
    """

    kind: str
    paths: tuple[Path, ...]
    texts: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Vectors of pairs.

    Attributes:
        pairs: recordings and texts.
        sound: vectors of the recordings, shape = (n, dim).
        text: vectors of their texts, shape = (n, dim).
    """

    pairs: Pairs
    sound: Float32
    text: Float32

    def similarities(self) -> npt.NDArray[np.float64]:
        """Compute the cosine of every recording with every text, shape = (n, n)."""
        return np.asarray(self.sound.astype(np.float64) @ self.text.T, np.float64)

    def matched(self) -> npt.NDArray[np.bool_]:
        """Mark the matching texts of each recording, shape = (n, n)."""
        labels = np.array(self.pairs.labels)
        return np.asarray(labels[:, None] == labels[None, :])


def run(context: Context) -> Results:
    """Embed the pairs, measure, and draw."""
    kinds = (_native(context), _learners(context), _sounds(context))
    spaces = {name: _spaces(context, name, kinds) for name in add_paper(context, SYSTEMS)}
    figures = {name: f"{name}.png" for name in ("similarities", "map")}
    _draw_similarities(context.out / figures["similarities"], spaces)
    _draw_map(context.out / figures["map"], spaces, context.seed)
    return Results(
        tables=(_similarity_table(spaces), _space_table(spaces)),
        figures=figures,
        captions={
            "similarities": "Cosines of matched and unmatched pairs of a recording and a text",
            "map": "Recordings and texts on a map, partners joined by a line",
        },
        findings=_findings(spaces),
    )


def _spaces(context: Context, name: str, kinds: Sequence[Pairs]) -> list[Space]:
    vectors = Vectors(context, name)
    spaces = []
    for pairs in kinds:
        key = "".join(letter if letter.isalpha() else "-" for letter in pairs.kind)
        sound = vectors.recordings(f"{key}-recordings", pairs.paths)
        spaces.append(Space(pairs, sound, vectors.texts(f"{key}-texts", pairs.texts)))
    return spaces


def _native(context: Context) -> Pairs:
    rows = context.rows("speech/librispeech.jsonl")
    return _sentences(context, READ, rows[: context.size(len(rows))])


def _learners(context: Context) -> Pairs:
    """Draw one sentence of each test speaker, with a text absent from training."""
    rows = context.rows("speech/speechocean762.jsonl")
    trained = {row["text"] for row in rows if row["split"] == "train"}
    by_speaker: dict[str, list[Row]] = {}
    for row in rows:
        if row["split"] == "test" and row["text"] not in trained:
            by_speaker.setdefault(row["speaker"], []).append(row)
    draw = random.Random(context.seed)
    selection = [draw.choice(by_speaker[speaker]) for speaker in sorted(by_speaker)]
    return _sentences(context, LEARNERS, selection[: context.size(len(selection))])


def _sentences(context: Context, kind: str, rows: Sequence[Row]) -> Pairs:
    texts = tuple(row["text"] for row in rows)
    return Pairs(kind, tuple(context.data / row["audio"] for row in rows), texts, texts)


def _sounds(context: Context) -> Pairs:
    """Read the held-out fold, each clip with a held-out caption of its class."""
    rows = [row for row in context.rows("sounds/esc10.jsonl") if row["fold"] == 5]
    if context.quick:
        rows = list({row["label"]: row for row in rows}.values())[:4]
    seen: dict[str, int] = {}
    texts = []
    for row in rows:
        captions = held_out_captions(row["label"])
        seen[row["label"]] = seen.get(row["label"], -1) + 1
        texts.append(captions[seen[row["label"]] % len(captions)])
    return Pairs(
        SOUNDS,
        tuple(context.data / row["audio"] for row in rows),
        tuple(texts),
        tuple(row["label"] for row in rows),
    )


def _similarity_table(spaces: Mapping[str, Sequence[Space]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, system_spaces in spaces.items():
        for space in system_spaces:
            scores, matched = space.similarities(), space.matched()
            matched_scores = np.diag(scores)
            first = _first_is_matched(scores, matched)
            rows.append(
                (
                    name,
                    space.pairs.kind,
                    len(matched_scores),
                    estimate(matched_scores.tolist()),
                    float(matched_scores.std()),
                    float(scores[~matched].mean()),
                    float(scores[~matched].std()),
                    estimate(geometry.separation(scores, matched).tolist()),
                    estimate(first),
                )
            )
    return Table(
        "similarities",
        "Cosine of a recording with its own text, and with texts of others",
        (
            Column("system"),
            Column("pairs of"),
            Column("n"),
            Column("matched"),
            Column("its sd"),
            Column("unmatched"),
            Column("its sd"),
            Column("matched above unmatched"),
            Column("R@1"),
        ),
        tuple(rows),
        "`matched above unmatched` is the share of other texts that lie further from a recording"
        " than its own (0.5 by chance); R@1 is among the n texts of the kind. For sounds every"
        " caption of the class matches.",
    )


def _space_table(spaces: Mapping[str, Sequence[Space]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, system_spaces in spaces.items():
        for space in system_spaces:
            gap = geometry.modality_gap(space.sound, space.text)
            middle = Space(space.pairs, geometry.centred(space.sound), geometry.centred(space.text))
            centred_recall = _first_is_matched(middle.similarities(), space.matched())
            rows.append(
                (
                    name,
                    space.pairs.kind,
                    estimate(geometry.alignment(space.sound, space.text).tolist()),
                    geometry.uniformity(space.sound),
                    geometry.uniformity(space.text),
                    gap,
                    geometry.gap_by_chance(space.sound, space.text),
                    estimate(centred_recall),
                )
            )
    return Table(
        "space",
        "Alignment, uniformity and the gap between recordings and texts",
        (
            Column("system"),
            Column("pairs of"),
            Column("alignment"),
            Column("uniformity of recordings", 2),
            Column("uniformity of texts", 2),
            Column("gap"),
            Column("gap by chance"),
            Column("R@1 without the gap"),
        ),
        tuple(rows),
        "Lower alignment is closer, lower uniformity is more evenly spread. `gap by chance` is what"
        " 95 % of random swaps within pairs stay below. The last column moves both clouds to one"
        " centre first.",
    )


def _first_is_matched(
    scores: npt.NDArray[np.float64], matched: npt.NDArray[np.bool_]
) -> list[float]:
    return [float(row[at]) for row, at in zip(matched, scores.argmax(1), strict=True)]


def _findings(spaces: Mapping[str, Sequence[Space]]) -> tuple[str, ...]:
    findings = []
    for name, system_spaces in spaces.items():
        gaps = [
            f"{geometry.modality_gap(space.sound, space.text):.2f} for {space.pairs.kind}"
            for space in system_spaces
        ]
        findings.append(f"The gap of {name}: {', '.join(gaps)}.")
    return tuple(findings)


def _draw_similarities(path: Path, spaces: Mapping[str, Sequence[Space]]) -> None:
    kinds = [space.pairs.kind for space in next(iter(spaces.values()))]
    edges = np.linspace(-0.3, 1.0, 53)
    with plots.drawing(path, 8.4, 4.8, rows=len(spaces), columns=len(kinds)) as axes:
        for row, (name, system_spaces) in enumerate(spaces.items()):
            for column, space in enumerate(system_spaces):
                panel = axes[row * len(kinds) + column]
                scores, matched = space.similarities(), space.matched()
                for shade, (label, values) in enumerate(
                    (("own text", np.diag(scores)), ("text of another", scores[~matched]))
                ):
                    weights = np.full(len(values), 1 / max(len(values), 1))
                    panel.hist(
                        np.clip(values, edges[0], edges[-1]),
                        edges.tolist(),
                        weights=weights,
                        color=plots.colour(shade),
                        alpha=0.6,
                        label=label,
                    )
                panel.set_title(f"{name}, {space.pairs.kind}")
                panel.set_xlim(-0.3, 1.02)
                if row == len(spaces) - 1:
                    panel.set_xlabel("cosine of recording and text")
                if column == 0:
                    panel.set_ylabel("share of pairs")
        axes[len(kinds)].legend(loc="upper center")


def _draw_map(path: Path, spaces: Mapping[str, Sequence[Space]], seed: int) -> None:
    with plots.drawing(path, 9.6, 5.2, columns=len(spaces)) as axes:
        for panel, (name, system_spaces) in zip(axes, spaces.items(), strict=True):
            positions = _on_a_map(system_spaces, seed)
            start = 0
            for shade, space in enumerate(system_spaces):
                count = len(space.sound)
                sound, text = (
                    positions[start : start + count],
                    positions[start + count : start + 2 * count],
                )
                start += 2 * count
                for start_point, end_point in zip(sound, text, strict=True):
                    panel.plot(
                        [start_point[0], end_point[0]],
                        [start_point[1], end_point[1]],
                        color=plots.colour(shade),
                        linewidth=0.4,
                        alpha=0.45,
                        zorder=1,
                    )
                for marker, cloud, size in (("o", sound, 13), ("^", text, 15)):
                    panel.scatter(
                        cloud[:, 0],
                        cloud[:, 1],
                        size,
                        marker=marker,
                        color=plots.colour(shade) if marker == "o" else "none",
                        edgecolors=plots.colour(shade),
                        linewidths=0.7,
                        zorder=2,
                        label=f"{space.pairs.kind}: {'recording' if marker == 'o' else 'text'}",
                    )
            panel.set_title(name)
            panel.set_xticks([])
            panel.set_yticks([])
            panel.grid(visible=False)
        handles, labels = axes[0].get_legend_handles_labels()
        figure = axes[0].figure
        figure.legend(handles, labels, loc="outside lower center", ncols=3)


def _on_a_map(spaces: Sequence[Space], seed: int) -> npt.NDArray[np.float64]:
    """Compute two coordinates for every recording and text, in the order of the spaces.

    t-SNE (van der Maaten and Hinton 2008) of cosine distances, initialised by PCA.
    """
    if find_spec("sklearn") is None:
        raise MissingExtraError("drawing a map", "evaluate")
    from sklearn.manifold import TSNE  # type: ignore[import-untyped]

    rows = np.concatenate([cloud for space in spaces for cloud in (space.sound, space.text)])
    # Clips may share a caption: t-SNE would arrange the copies of its vector in a ring.
    points, row = np.unique(rows.round(6), axis=0, return_inverse=True)
    chart = TSNE(
        metric="cosine",
        init="pca" if len(points) > 2 else "random",
        method="exact",
        perplexity=min(PERPLEXITY, (len(points) - 1) / 3),
        random_state=seed,
    )
    return np.asarray(chart.fit_transform(points), np.float64)[row.ravel()]


EXPERIMENT = Experiment(
    name="latent",
    title="The space of recordings and texts",
    question="How far apart are recordings and their texts, and unrelated recordings and texts, and"
    " do the two modalities occupy the same region of the space?",
    version=1,
    run=run,
)
