"""Mixed knowledge bases: recall by the share of recordings, with raw and calibrated scores.

Every fact is a paragraph, available as text and as a recording. A knowledge base contains each fact
once, in either modality, and the share of recordings varies from none to all. Only the modality
differs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from experiments import plots
from experiments.base import Cell, Column, Context, Estimate, Experiment, Results, Table, estimate
from experiments.calibration import calibrate, index_scales, own_scales
from experiments.vectors import Vectors
from wavrag.audio import SAMPLE_RATE, load, write_wav
from wavrag.errors import InputError
from wavrag.evaluate import AUDIO_SUFFIX, BLANK_TITLE
from wavrag.kb import PendingPassage, split_document
from wavrag.search import reciprocal_rank_fusion
from wavrag.speech import NEUTRAL, load_engine
from wavrag.store import bm25, query_words
from wavrag.types import Document, EmbedInput, Float32, Leg, Modality, Passage, ScoredPassage

SYSTEMS = ("wavretriever", "cascade")
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # of recordings among the facts
RAW, INDEX, BY_QUERY = "raw", "calibrated by the index", "calibrated by the query"
FUSED, FUSED_CALIBRATED = "raw, with words", "calibrated by the index, with words"
METHODS = (RAW, INDEX, BY_QUERY, FUSED, FUSED_CALIBRATED)
TEXT, SPEECH = "written", "spoken"
CANDIDATES = 50  # of each leg for fusion, as in the knowledge base
MIXED = 0.5  # share of recordings for the table by modality
Float64: TypeAlias = npt.NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """All facts in both modalities, and the questions, embedded by one system.

    Attributes:
        passages: passages of texts and recordings; their document is the fact.
        vectors: vectors of the passages, shape = (n, dim).
        words: words of the passages, written or recognised.
        queries: unit vectors of the questions, shape = (n_facts, dim), by modality.
        query_words: words of the questions, typed or recognised, by modality.
    """

    passages: tuple[Passage, ...]
    vectors: Float32
    words: tuple[str, ...]
    queries: Mapping[str, Float32]
    query_words: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one question in one knowledge base.

    Attributes:
        rank: rank of its fact, from 1.
        first: modality of the first hit.
        gold: modality of its fact.
    """

    rank: int
    first: Modality
    gold: Modality

    def row(self) -> list[Any]:
        """Convert the result to JSON values."""
        return [self.rank, self.first, self.gold]


def run(context: Context) -> Results:
    """Synthesise and embed the facts, build the mixtures, and run the questions."""
    facts, questions = _facts(context)
    recordings = _speak(context, facts)
    outcomes: dict[tuple[str, str], dict[str, Any]] = {}
    for name in SYSTEMS:
        base = _base(context, name, facts, questions, recordings)
        for way in (TEXT, SPEECH):
            outcomes[name, way] = context.step(
                f"{name}-{way}-outcomes",
                partial(_ask, context, base, facts, name, way),
                {"facts": [fact["id"] for fact in facts], "draws": context.options["draws"]},
            )
    figures = {"mixing": "mixing.png", "first": "first.png"}
    _draw_mixtures(context.out / figures["mixing"], outcomes)
    _draw_first(context.out / figures["first"], outcomes)
    return Results(
        tables=(
            _mixing_table(outcomes),
            _difference_table(outcomes),
            _kinds_table(outcomes),
            _twins_table(outcomes),
        ),
        figures=figures,
        captions={
            "mixing": "R@1 of written questions against the share of recordings",
            "first": "Share of first entries that are recordings, against their share of the base",
        },
        findings=_findings(outcomes),
    )


def _facts(context: Context) -> tuple[list[Row], list[Row]]:
    """Select the shortest paragraphs with a spoken question, and their questions."""
    speech = {row["positive"]: row for row in context.rows("speech/squad_eval_kokoro.jsonl")}
    facts = [row for row in context.rows("text/squad_dev_eval.jsonl") if row["id"] in speech]
    facts.sort(key=lambda row: (len(row["context"]), row["id"]))
    facts = facts[: context.size(int(context.options["facts"]))]
    return facts, [speech[row["id"]] for row in facts]


def _speak(context: Context, facts: Sequence[Row]) -> list[Path]:
    """Synthesise every fact with the voices of flite in turn, and keep the recordings."""
    engine = load_engine("flite")
    folder = context.out / "recordings"
    folder.mkdir(exist_ok=True)
    paths = []
    for number, fact in enumerate(facts):
        context.on_progress("speaking", number, len(facts))
        voice = engine.voices[number % len(engine.voices)]
        path = folder / f"{fact['id']}-{voice}.wav"
        if not path.exists():
            write_wav(path, engine.speak(fact["context"], voice, NEUTRAL))
        paths.append(path)
    return paths


def _base(
    context: Context,
    name: str,
    facts: Sequence[Row],
    questions: Sequence[Row],
    recordings: Sequence[Path],
) -> Base:
    texts = [Document(fact["id"], text=fact["context"]) for fact in facts]
    sounds = [
        Document(fact["id"] + AUDIO_SUFFIX, path=str(path), title=BLANK_TITLE)
        for fact, path in zip(facts, recordings, strict=True)
    ]
    vectors = Vectors(context, name)
    pending_passages = [pending for document in (*texts, *sounds) for pending in _split(document)]
    rows, words = vectors.items(
        "entries", [partial(_build_input, pending) for pending in pending_passages], "passage"
    )
    question_texts = [row["text"] for row in questions]
    clip_builders = [partial(_load_question, context.data / row["audio"]) for row in questions]
    speech, transcripts = vectors.items("spoken-questions", clip_builders, "query")
    return Base(
        passages=tuple(pending.passage for pending in pending_passages),
        vectors=rows,
        words=tuple(
            pending.passage.text or transcript
            for pending, transcript in zip(pending_passages, words, strict=True)
        ),
        queries={TEXT: vectors.texts("written-questions", question_texts, "query"), SPEECH: speech},
        query_words={TEXT: question_texts, SPEECH: transcripts},
    )


def _split(document: Document) -> Iterator[PendingPassage]:
    def refuse(note: str) -> None:
        raise InputError(f"{document.id}: {note}: make it again")

    return split_document(document, SAMPLE_RATE, refuse)


def _build_input(pending: PendingPassage) -> EmbedInput:
    """Build the input of a passage without its title, which only texts have."""
    return (
        EmbedInput(text=pending.passage.text)
        if pending.embed_input.clip is None
        else EmbedInput(clip=pending.embed_input.clip)
    )


def _load_question(path: Path) -> EmbedInput:
    return EmbedInput(clip=load(path))


def _ask(context: Context, base: Base, facts: Sequence[Row], name: str, way: str) -> Row:
    """Run every question in every mixture.

    Returns:
        By method, share and question: an outcome for each random choice of the recordings. Under
        `twins`, by method and question: the outcome with every fact in both modalities.
    """
    ids = [fact["id"] for fact in facts]
    results: Row = {method: {} for method in METHODS}
    rng = np.random.default_rng(context.seed)
    orders = [rng.permutation(len(ids)) for _ in range(int(context.options["draws"]))]
    for number, share in enumerate(SHARES):
        context.on_progress(f"{name}: asking, {way}", number, len(SHARES))
        count = round(share * len(ids))
        draws = orders if 0 < count < len(ids) else orders[:1]
        mixtures = [
            _Mixture(base, {ids[number] for number in order[:count]}, way) for order in draws
        ]
        for method in METHODS:
            results[method][f"{share:g}"] = [
                [mixture.outcome(number, id, method).row() for mixture in mixtures]
                for number, id in enumerate(ids)
            ]
    both = _Mixture(base, None, way)
    results["twins"] = {
        method: [both.outcome(number, id, method).row() for number, id in enumerate(ids)]
        for method in METHODS
    }
    return results


class _Mixture:
    """A knowledge base with some facts as recordings and the others as texts.

    Args:
        base: all facts in both modalities.
        audio_facts: ids of the facts as recordings; None for every fact in both modalities.
        way: modality of the questions.
    """

    def __init__(self, base: Base, audio_facts: set[str] | None, way: str) -> None:
        self._rows = [
            row
            for row, passage in enumerate(base.passages)
            if audio_facts is None
            or (fact_of(passage) in audio_facts) == (passage.modality == "audio")
        ]
        self._passages = [base.passages[row] for row in self._rows]
        self._kinds: list[Modality] = [passage.modality for passage in self._passages]
        self._vectors = base.vectors[self._rows]
        self._words = [base.words[row] for row in self._rows]
        self._queries, self._query_words = base.queries[way], base.query_words[way]
        self._query: Modality = "text" if way == TEXT else "audio"
        self._lexical: dict[int, list[ScoredPassage]] = {}

    @cached_property
    def _scales(self) -> Any:
        owners = [fact_of(passage) for passage in self._passages]
        return index_scales(self._vectors, self._kinds, owners)

    def outcome(self, number: int, id: str, method: str) -> Outcome:
        """Rank the passages for a question by a method, ties by id."""
        scores = np.asarray(self._vectors @ self._queries[number], np.float64)
        if method in (INDEX, FUSED_CALIBRATED):
            scores = calibrate(scores, self._kinds, self._query, self._scales)
        elif method == BY_QUERY:
            scales = own_scales(scores, self._kinds, self._query)
            scores = calibrate(scores, self._kinds, self._query, scales)
        ranking = self._best(scores.tolist())
        if method in (FUSED, FUSED_CALIBRATED):
            legs: dict[Leg, list[ScoredPassage]] = {
                "dense": ranking[:CANDIDATES],
                "lexical": self._by_words(number),
            }
            fused = [ScoredPassage(hit.passage, hit.score) for hit in reciprocal_rank_fusion(legs)]
            fused_ids = {hit.passage.id for hit in fused}
            ranking = fused + [hit for hit in ranking if hit.passage.id not in fused_ids]
        order = list(dict.fromkeys(fact_of(hit.passage) for hit in ranking))
        gold = next(hit.passage.modality for hit in ranking if fact_of(hit.passage) == id)
        return Outcome(order.index(id) + 1, ranking[0].passage.modality, gold)

    def _by_words(self, number: int) -> list[ScoredPassage]:
        if number not in self._lexical:
            scores = bm25(query_words(self._query_words[number]), self._words)
            ranking = self._best(scores)
            self._lexical[number] = [hit for hit in ranking if hit.score > 0][:CANDIDATES]
        return self._lexical[number]

    def _best(self, scores: Sequence[float]) -> list[ScoredPassage]:
        pairs = zip(self._passages, scores, strict=True)
        return sorted(
            itertools.starmap(ScoredPassage, pairs), key=lambda hit: (-hit.score, hit.passage.id)
        )


def fact_of(passage: Passage) -> str:
    """Return the id of a passage's fact."""
    return passage.document_id.removesuffix(AUDIO_SUFFIX)


def _values(outcomes: Row, method: str, share: float, depth: int = 1) -> list[float]:
    """Compute the mean recall of each question over the draws."""
    return [
        float(np.mean([rank <= depth for rank, _, _ in draws]))
        for draws in outcomes[method][f"{share:g}"]
    ]


def _mixing_table(outcomes: Mapping[tuple[str, str], Row]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            way,
            method,
            *(float(np.mean(_values(results, method, share))) for share in SHARES),
            estimate(
                [
                    float(np.mean(group))
                    for group in zip(
                        *(_values(results, method, share) for share in SHARES[1:-1]), strict=True
                    )
                ]
            ),
        )
        for (name, way), results in outcomes.items()
        for method in METHODS
    ]
    return Table(
        "mixing",
        "R@1 against the share of facts that are recordings",
        (
            Column("system"),
            Column("questions"),
            Column("scores"),
            *(Column(f"{share:.0%}") for share in SHARES),
            Column("mean of mixtures"),
        ),
        tuple(rows),
        "Means over questions and draws of the facts that are recordings. The interval is over"
        " questions.",
    )


def _difference_table(outcomes: Mapping[tuple[str, str], Row]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for (name, way), results in outcomes.items():
        for method, against in (
            (INDEX, RAW),
            (BY_QUERY, RAW),
            (FUSED, RAW),
            (FUSED_CALIBRATED, FUSED),
        ):
            rows.append((name, way, method, against, *_gains(results, method, against)))
    return Table(
        "differences",
        "Gain over the mixtures of 10 to 90 % recordings, for the same questions",
        (
            Column("system"),
            Column("questions"),
            Column("scores"),
            Column("against"),
            Column("R@1"),
            Column("R@10"),
        ),
        tuple(rows),
    )


def _gains(results: Row, method: str, against: str) -> list[Estimate]:
    gains = []
    for depth in (1, 10):
        pairs = [
            np.subtract(_values(results, method, s, depth), _values(results, against, s, depth))
            for s in SHARES[1:-1]
        ]
        gains.append(estimate(np.mean(pairs, axis=0).tolist()))
    return gains


def _kinds_table(outcomes: Mapping[tuple[str, str], Row]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for (name, way), results in outcomes.items():
        for method in METHODS:
            group = [draw for draws in results[method][f"{MIXED:g}"] for draw in draws]
            by_kind: list[Cell] = []
            for kind in ("text", "audio"):
                ranks = [rank for rank, _, gold in group if gold == kind]
                by_kind.append(float(np.mean([rank == 1 for rank in ranks])) if ranks else None)
            first = [float(first == "audio") for _, first, _ in group]
            rows.append((name, way, method, *by_kind, float(np.mean(first))))
    return Table(
        "kinds",
        "Half of the facts are recordings: R@1 of either half, and what comes first",
        (
            Column("system"),
            Column("questions"),
            Column("scores"),
            Column("R@1 of texts"),
            Column("R@1 of recordings"),
            Column("first is a recording"),
        ),
        tuple(rows),
        "0.5 of the first entries would be recordings if neither kind were preferred and both were"
        " found equally well.",
    )


def _twins_table(outcomes: Mapping[tuple[str, str], Row]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for (name, way), results in outcomes.items():
        for method in METHODS:
            group = results["twins"][method]
            right = [gold == "audio" for rank, _, gold in group if rank == 1]
            rows.append(
                (
                    name,
                    way,
                    method,
                    estimate([float(rank == 1) for rank, _, _ in group]),
                    estimate([float(gold == "audio") for _, _, gold in group]),
                    float(np.mean(right)) if right else None,
                )
            )
    return Table(
        "twins",
        "Every fact is there as a text and as a recording",
        (
            Column("system"),
            Column("questions"),
            Column("scores"),
            Column("R@1, either form"),
            Column("recording before its text"),
            Column("the same where the fact is first"),
        ),
        tuple(rows),
    )


def _findings(outcomes: Mapping[tuple[str, str], Row]) -> tuple[str, ...]:
    results = []
    for (name, way), group in outcomes.items():
        gain, _ = _gains(group, INDEX, RAW)
        low, high = gain.ci95
        verdict = "helps" if low > 0 else "harms" if high < 0 else "makes no clear difference"
        best = max(METHODS, key=lambda m: (_over_mixtures(group, m), -METHODS.index(m)))
        results.append(
            f"{name}, {way} questions: calibration by the index {verdict}"
            f" ({gain.mean:+.3f} R@1 [{low:+.3f} {high:+.3f}]); best over the mixtures: {best},"
            f" R@1 {_over_mixtures(group, best):.3f}."
        )
    return tuple(results)


def _over_mixtures(results: Row, method: str) -> float:
    return float(np.mean([_values(results, method, share) for share in SHARES[1:-1]]))


def _draw_mixtures(path: Path, outcomes: Mapping[tuple[str, str], Row]) -> None:
    percent = [100 * share for share in SHARES]
    with plots.drawing(path, 8.6, 4.4, columns=len(SYSTEMS)) as axes:
        for panel, name in zip(axes, SYSTEMS, strict=True):
            results = outcomes[name, TEXT]
            series = {
                method: [estimate(_values(results, method, share)) for share in SHARES]
                for method in (RAW, INDEX, FUSED, FUSED_CALIBRATED)
            }
            plots.lines(
                panel,
                percent,
                series,
                xlabel="facts that are recordings, %",
                ylabel="R@1",
                title=name,
            )
            panel.set_ylim(0, 1)
        handles, labels = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(handles, labels, loc="outside lower center", ncols=2)


def _draw_first(path: Path, outcomes: Mapping[tuple[str, str], Row]) -> None:
    percent = [100 * share for share in SHARES]
    with plots.drawing(path, 8.6, 4.4, columns=len(SYSTEMS)) as axes:
        for panel, name in zip(axes, SYSTEMS, strict=True):
            results = outcomes[name, TEXT]
            series: dict[str, list[Estimate | float | None]] = {
                method: [
                    100
                    * float(
                        np.mean(
                            [f == "audio" for d in results[method][f"{share:g}"] for _, f, _ in d]
                        )
                    )
                    for share in SHARES
                ]
                for method in (RAW, INDEX, FUSED, BY_QUERY)
            }
            plots.lines(
                panel,
                percent,
                series,
                xlabel="facts that are recordings, %",
                ylabel="first entries that are recordings, %",
                title=name,
            )
            panel.plot([0, 100], [0, 100], color="#999999", linewidth=0.8, zorder=0)
        handles, labels = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(handles, labels, loc="outside lower center", ncols=2)


EXPERIMENT = Experiment(
    name="modality",
    title="Recordings and texts in one knowledge base",
    question="Is the right passage retrieved from a mixture of recordings and texts about the same"
    " facts, and do calibrated scores retrieve it more often than raw ones?",
    version=1,
    run=run,
    options={"facts": 100, "draws": 5},
)
