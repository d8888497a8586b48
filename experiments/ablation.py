"""Ablation: the retriever stage by stage, from an untrained encoder to both legs.

Each rung adds one stage. All rungs run the same queries through the same knowledge base.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from experiments.base import Cell, Column, Context, Estimate, Experiment, Results, Table, estimate
from experiments.plots import bars, drawing
from experiments.search import (
    CASCADE,
    FAST,
    RETRIEVER,
    ExperimentIndex,
    Rankings,
    draw_sample,
    metric_values,
    paragraphs,
    search_all,
)
from wavrag import config
from wavrag.audio import SAMPLE_RATE, load
from wavrag.data import Qrels
from wavrag.embed import (
    LETTERS_FILE,
    LEXICON_FILE,
    MIN_SAMPLES,
    WAVRETRIEVER_SPEC,
    WAVRETRIEVER_WEIGHTS,
    Embedder,
    EmbedderSpec,
    EmbedResult,
    Lexicon,
    MiniLM,
    Workers,
    check_inputs,
    load_session,
    word_spans,
)
from wavrag.evaluate import BLANK_TITLE, Legs, paired_bootstrap
from wavrag.speech import NEUTRAL, load_engine
from wavrag.types import Clip, Document, EmbedInput, Float32, Query, Role

QUESTIONS = 320  # all spoken questions
SENTENCES = 94  # all sentences of LibriSpeech in the data
METRIC = "recall@10"
TWIN_ENGINE, TWIN_VOICE = "flite", "slt"
TASKS = {
    "questions": "questions to paragraphs",
    "sentences": "sentences to their texts",
    "twins": "sentences to another voice",
}


class PartialRetriever(Embedder):
    """The letters of the retriever without its decoder and without the words of the index.

    Words come from the lexicon or as spelled. All audio counts as speech. Texts are embedded as in
    the retriever.

    Args:
        use_lexicon: choose words from the lexicon.
    """

    def __init__(self, use_lexicon: bool) -> None:
        self._uses_lexicon = use_lexicon
        threads = config.threads()
        self._texts = MiniLM(threads)
        self._workers = Workers(threads)

    @property
    def spec(self) -> EmbedderSpec:
        """Spec of the retriever under another name and revision."""
        name = f"staged-{'listed' if self._uses_lexicon else 'spelled'}"
        return replace(
            WAVRETRIEVER_SPEC, name=name, revision=f"{WAVRETRIEVER_SPEC.revision}-{name}"
        )

    @cached_property
    def _session(self) -> Any:
        return load_session(WAVRETRIEVER_WEIGHTS / LETTERS_FILE)

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon.read(WAVRETRIEVER_WEIGHTS / LEXICON_FILE)

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed texts and clips."""
        return self.embed_with_texts(inputs, role).vectors

    def embed_with_texts(self, inputs: Sequence[EmbedInput], role: Role) -> EmbedResult:
        """Embed texts and clips, and return their words, recognised in clips."""
        check_inputs(WAVRETRIEVER_SPEC, inputs)
        _ = self._session, self._lexicon  # load once, before the threads need them
        words = self._workers.map(self._words, inputs)
        return EmbedResult(self._texts.embed_texts(words), tuple(words))

    def _words(self, item: EmbedInput) -> str:
        if item.clip is None:
            return item.text or ""
        samples = item.clip.samples
        if len(samples) < MIN_SAMPLES:
            samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
        (letters,) = self._session.run(None, {"samples": samples[None]})
        if self._uses_lexicon:
            return " ".join(self._lexicon.words(letters))
        return " ".join(span.letters for span in word_spans(letters))


@dataclass(frozen=True, slots=True)
class Rung:
    """A system of the ladder.

    Attributes:
        key: key of its step; rungs with the same key are legs of the same run.
        label: name in tables.
        embedder: builds the embedder, or is its name.
        leg: measured leg.
        tasks: supported tasks.
        typed: True if queries are reference transcripts instead of audio.
    """

    key: str
    label: str
    embedder: Callable[[], Embedder] | str
    leg: Legs
    tasks: tuple[str, ...] = tuple(TASKS)
    typed: bool = False


LADDER = (
    Rung("raw", "encoder untrained, states averaged", "raw:moonshine", "dense", ("twins",)),
    Rung("spelled", "+ trained letters, as spelled", partial(PartialRetriever, False), "dense"),
    Rung("listed", "+ words chosen from the list", partial(PartialRetriever, True), "dense"),
    Rung("fast", "+ words of the index: wavretriever-fast", FAST, "dense"),
    Rung("retriever", "+ words of the decoder: wavretriever, vectors", RETRIEVER, "dense"),
    Rung("retriever", "the retriever's words alone: lexical leg", RETRIEVER, "lexical"),
    Rung("retriever", "+ lexical leg: both fused", RETRIEVER, "fused"),
    Rung("cascade", "for comparison: cascade, vectors", CASCADE, "dense"),
    Rung("cascade", "for comparison: cascade, both legs", CASCADE, "fused"),
    Rung("typed", "ceiling: the true words, vectors", "minilm", "dense",
         ("questions", "sentences"), typed=True),
    Rung("typed", "ceiling: the true words, both legs", "minilm", "fused",
         ("questions", "sentences"), typed=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Task:
    """Recordings as queries, documents, and relevance judgements."""

    rows: Sequence[Mapping[str, Any]]
    documents: Sequence[Document]
    qrels: Qrels


def run(context: Context) -> Results:
    """Run every rung on each of its tasks."""
    tasks = _tasks(context)
    rankings: dict[tuple[str, str], Rankings] = {}
    runs = {(rung.key, task): rung for rung in LADDER for task in rung.tasks}
    for number, ((key, task), rung) in enumerate(runs.items()):
        context.on_progress("ablation", number, len(runs))
        rankings[key, task] = context.step(
            f"{key}-{task}", partial(_run_queries, context, rung, tasks[task])
        )
    scores = {
        (rung_number, task): {
            metric: metric_values(rankings[rung.key, task], rung.leg, tasks[task].qrels, metric)
            for metric in ("recall@1", METRIC)
        }
        for rung_number, rung in enumerate(LADDER)
        for task in rung.tasks
    }
    _draw(context, scores)
    return Results(
        (_ladder_table(scores, tasks), _step_table(scores)),
        figures={"ladder": "ladder.png"},
        captions={"ladder": "Recall@1 and recall@10 of each rung on each task"},
        left_out=(
            "The paper's own ablation, an encoder of 8 billion parameters before and after"
            " contrastive training: neither its weights nor a machine for it are at hand.",
        ),
    )


def _tasks(context: Context) -> dict[str, _Task]:
    questions = draw_sample(
        context.rows("speech/squad_eval_kokoro.jsonl"), context.size(QUESTIONS), context.seed
    )
    read = draw_sample(
        context.rows("speech/librispeech.jsonl"), context.size(SENTENCES), context.seed
    )
    texts = {row["text"]: f"text-{n:04d}" for n, row in enumerate(read)}
    sentence_qrels: Qrels = {row["id"]: {texts[row["text"]]: 1.0} for row in read}
    engine = load_engine(TWIN_ENGINE)
    twins = [
        Document(id, clip=engine.speak(text, TWIN_VOICE, NEUTRAL), title=BLANK_TITLE)
        for text, id in texts.items()
    ]
    return {
        "questions": _Task(
            questions, paragraphs(context), {row["id"]: {row["positive"]: 1.0} for row in questions}
        ),
        "sentences": _Task(
            read, [Document(id, text=text) for text, id in texts.items()], sentence_qrels
        ),
        "twins": _Task(read, twins, sentence_qrels),
    }


def _run_queries(context: Context, rung: Rung, task: _Task) -> Rankings:
    def query(row: Mapping[str, Any]) -> Query:
        if rung.typed:
            return Query(text=row["text"])
        return Query(clip=Clip(load(context.data / row["audio"], SAMPLE_RATE).samples, SAMPLE_RATE))

    embedder = rung.embedder if isinstance(rung.embedder, str) else rung.embedder()
    with ExperimentIndex(embedder, task.documents) as index:
        return search_all(index, {row["id"]: partial(query, row) for row in task.rows})


Scores = Mapping[tuple[int, str], Mapping[str, list[float]]]


def _ladder_table(scores: Scores, tasks: Mapping[str, _Task]) -> Table:
    heads = [
        Column(f"{TASKS[task]}: {metric}") for task in TASKS for metric in ("recall@1", METRIC)
    ]
    rows: list[tuple[Cell, ...]] = []
    for rung_number, rung in enumerate(LADDER):
        cells = [
            estimate(scores[rung_number, task][metric]) if (rung_number, task) in scores else None
            for task in TASKS
            for metric in ("recall@1", METRIC)
        ]
        rows.append((rung.label, *cells))
    sizes = ", ".join(
        f"{len(task.rows)} {TASKS[name]} ({len(task.documents)})" for name, task in tasks.items()
    )
    return Table(
        "ladder",
        "Recall of each rung",
        (Column("rung"), *heads),
        tuple(rows),
        f"{sizes}; in brackets 95 % bootstrap intervals over recordings. A dash: it cannot be"
        " asked so, an untrained encoder of sound knows no text.",
    )


def _step_table(scores: Scores) -> Table:
    """Tabulate the gain of each stage over the previous one."""
    steps = ((1, 2), (2, 3), (3, 4), (4, 6), (7, 4), (8, 6), (0, 2))
    rows: list[tuple[Cell, ...]] = []
    for before, after in steps:
        for task, label in TASKS.items():
            if (before, task) not in scores or (after, task) not in scores:
                continue
            gap = paired_bootstrap(scores[before, task][METRIC], scores[after, task][METRIC])
            first = paired_bootstrap(
                scores[before, task]["recall@1"], scores[after, task]["recall@1"]
            )
            rows.append(
                (
                    f"{LADDER[before].label} → {LADDER[after].label}",
                    label,
                    Estimate(first.difference, first.ci95),
                    first.p,
                    Estimate(gap.difference, gap.ci95),
                    gap.p,
                )
            )
    return Table(
        "steps",
        "What a stage changes, same recordings",
        (
            Column("from → to"),
            Column("task"),
            Column("recall@1"),
            Column("p", 4),
            Column("recall@10"),
            Column("p", 4),
        ),
        tuple(rows),
        "Paired bootstrap; the p-values are not corrected for their number.",
    )


def _draw(context: Context, scores: Scores) -> None:
    short = ("untrained", "spelled", "listed", "fast", "default", "lexical", "fused",
             "cascade\ndense", "cascade\nfused", "typed\ndense", "typed\nfused")  # fmt: skip
    with drawing(context.out / "ladder.png", 7.6, 5.6, rows=2) as panes:
        for pane, metric in zip(panes, ("recall@1", METRIC), strict=True):
            series = {
                label: [
                    estimate(scores[rung_number, task][metric])
                    if (rung_number, task) in scores
                    else None
                    for rung_number in range(len(LADDER))
                ]
                for task, label in TASKS.items()
            }
            bars(pane, short, series, ylabel=metric)
            pane.set_ylim(0, 1.02)
        panes[0].figure.legend(
            *panes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3
        )


EXPERIMENT = Experiment(
    name="ablation",
    title="Ablation",
    question="What is each stage worth: training, words, decoder, lexical leg?",
    version=2,
    run=run,
)
