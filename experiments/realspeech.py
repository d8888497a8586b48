"""Real speech: the same sentences read by people and by speech synthesisers, with every system.

No data set of questions spoken by people with passages is available. Sentences are: people and
synthesisers read the same texts, and each recording retrieves its text among others.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from experiments.base import Cell, Column, Context, Estimate, Experiment, Results, Table, estimate
from experiments.plots import bars, drawing
from experiments.search import (
    ComparedSystem,
    ExperimentIndex,
    draw_sample,
    list_systems,
    untrained_sentences,
)
from wavrag.audio import SAMPLE_RATE, load
from wavrag.data import Qrels
from wavrag.evaluate import LEGS, count_word_errors, evaluate_run, mean, paired_bootstrap
from wavrag.speech import NEUTRAL, Engine, load_engine
from wavrag.types import Clip, Document, Query

NATIVE_COUNT, ACCENTED_COUNT = 94, 66  # query sentences of each set
DISTRACTORS = 400  # texts of the accented set in the corpus, including those of the queries
FEWEST_WORDS = 4  # shorter sentences are ambiguous
METRIC = "recall@1"
HUMAN = "human"
SETS = {"native": "LibriSpeech, native readers", "accented": "speechocean762, Mandarin accent"}
VOICES = {
    "flite": ("flite", "slt", "flite"),
    "festival": ("festival", "", "text2wave"),
    "espeak": ("espeak", "en-us+f2", "espeak-ng"),
}
"""Engine, voice (empty for the best installed one), and program of each synthesiser."""


@dataclass(frozen=True, slots=True)
class _VoiceResult:
    """Recall of one set in one voice by one system, per sentence, and its word error rate."""

    recall: list[float]
    dense: list[float]
    wer: float
    wer_ci95: tuple[float, float]


def run(context: Context) -> Results:
    """Run every sentence in every voice."""
    native = draw_sample(
        _long_enough(context.rows("speech/librispeech.jsonl")),
        context.size(NATIVE_COUNT, 4),
        context.seed,
    )
    accented_rows = _long_enough(untrained_sentences(context))
    distractors = draw_sample(accented_rows, context.size(DISTRACTORS, 20), context.seed)
    query_rows = {
        "native": native,
        "accented": draw_sample(distractors, context.size(ACCENTED_COUNT, 4), context.seed),
    }
    texts = {row["text"]: f"text-{n:04d}" for n, row in enumerate([*native, *distractors])}
    documents = [Document(id, text=text) for text, id in texts.items()]
    systems, left_out = list_systems(context)
    voices = [HUMAN]
    for voice, (_, _, program) in VOICES.items():
        if shutil.which(program) is None:
            left_out.append(f"The voice of {voice}: the program {program} is not installed.")
        else:
            voices.append(voice)
    sounds = _Readings(context)
    readings: dict[tuple[str, str, str], _VoiceResult] = {}
    completed, total = 0, len(systems) * len(voices) * len(SETS)
    for system in systems:
        with ExperimentIndex(system.embedder, documents) as index:
            for voice in voices:
                for name, rows in query_rows.items():
                    context.on_progress("realspeech", completed, total)
                    results = context.step(
                        f"{system.key}-{voice}-{name}",
                        partial(_run_queries, sounds, index, voice, rows),
                        {"embedder": system.embedder},
                    )
                    readings[system.key, voice, name] = _summarise(results, rows, texts)
                    completed += 1
    _draw(context, systems, voices, readings)
    return Results(
        (
            _table(systems, voices, readings, query_rows, len(documents)),
            _differences(systems, voices, readings),
        ),
        figures={"recall": "recall.png"},
        captions={"recall": "Recall@1 of human and synthetic readings of the same sentences"},
        findings=tuple(_findings(systems, voices, readings)),
        left_out=(
            "Questions spoken by people: there are none to be had with their passages.",
            "Neural voices: the model of Kokoro is not among the data.",
            *left_out,
        ),
    )


def _long_enough(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Select the first recording of every text with enough words."""
    firsts = {row["text"]: row for row in reversed(rows)}
    return [firsts[text] for text in reversed(firsts) if len(text.split()) >= FEWEST_WORDS]


class _Readings:
    """Every sentence in every voice, with a cache of synthesised clips for the next system."""

    def __init__(self, context: Context) -> None:
        self._data = context.data
        self._engines: dict[str, Engine] = {}
        self._synthesised: dict[tuple[str, str], Clip] = {}

    def clip(self, voice: str, row: Mapping[str, Any]) -> Clip:
        """Return a sentence read by a person or by a synthesiser."""
        if voice == HUMAN:
            return load(self._data / row["audio"], SAMPLE_RATE)
        key = voice, row["text"]
        if key not in self._synthesised:
            name, speaker, _ = VOICES[voice]
            engine = self._engines.setdefault(voice, load_engine(name))
            self._synthesised[key] = engine.speak(
                row["text"], speaker or engine.default_voice, NEUTRAL
            )
        return self._synthesised[key]


def _run_queries(
    sounds: _Readings, index: ExperimentIndex, voice: str, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    rankings: dict[str, dict[str, list[str]]] = {leg: {} for leg in LEGS}
    transcripts = {}
    for row in rows:
        clip = sounds.clip(voice, row)
        legs, transcripts[row["id"]] = index.search_with_words(Query(clip=clip))
        for leg, results in legs.items():
            rankings[leg][row["id"]] = results
    return {"ranked": rankings, "heard": transcripts}


def _summarise(
    results: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], texts: Mapping[str, str]
) -> _VoiceResult:
    qrels: Qrels = {row["id"]: {texts[row["text"]]: 1.0} for row in rows}
    errors = count_word_errors(
        [row["text"] for row in rows], [results["heard"][r["id"]] for r in rows]
    )
    fused, dense = (
        evaluate_run(results["ranked"][leg], qrels)[METRIC] for leg in ("fused", "dense")
    )
    return _VoiceResult(fused, dense, errors.rate, errors.ci95)


def _table(
    systems: Sequence[ComparedSystem],
    voices: Sequence[str],
    readings: Mapping[tuple[str, str, str], _VoiceResult],
    query_rows: Mapping[str, Sequence[Any]],
    text_count: int,
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, label in SETS.items():
        for voice in voices:
            for system in systems:
                result = readings[system.key, voice, name]
                rows.append(
                    (
                        label,
                        voice,
                        system.label,
                        estimate(result.recall),
                        estimate(result.dense),
                        Estimate(result.wer, result.wer_ci95),
                    )
                )
    counts = " and ".join(f"{len(rows)} of {SETS[name]}" for name, rows in query_rows.items())
    return Table(
        "readings",
        f"Sentences to {text_count} texts: {counts}",
        (
            Column("set"),
            Column("read by"),
            Column("system"),
            Column("recall@1, fused"),
            Column("recall@1, dense"),
            Column("word error rate"),
        ),
        tuple(rows),
        "In brackets 95 % bootstrap intervals over sentences. The words of the retriever are those"
        " that it gives the lexical leg.",
    )


def _differences(
    systems: Sequence[ComparedSystem],
    voices: Sequence[str],
    readings: Mapping[tuple[str, str, str], _VoiceResult],
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, label in SETS.items():
        for system in systems:
            human = readings[system.key, HUMAN, name].recall
            for voice in voices[1:]:
                gap = paired_bootstrap(human, readings[system.key, voice, name].recall)
                rows.append((label, system.label, voice, Estimate(gap.difference, gap.ci95), gap.p))
    return Table(
        "differences",
        "Recall@1 of a synthetic reading less that of the human one, same sentences, fused",
        (
            Column("set"),
            Column("system"),
            Column("synthetic voice"),
            Column("difference"),
            Column("p", 4),
        ),
        tuple(rows),
        "Paired bootstrap over sentences; the p-values are not corrected for their number.",
    )


def _findings(
    systems: Sequence[ComparedSystem],
    voices: Sequence[str],
    readings: Mapping[tuple[str, str, str], _VoiceResult],
) -> list[str]:
    sentences = []
    for name, label in SETS.items():
        for system in systems:
            human = mean(readings[system.key, HUMAN, name].recall)
            distractors = [mean(readings[system.key, voice, name].recall) for voice in voices[1:]]
            if distractors:
                sentences.append(
                    f"{label}, {system.label}: recall@1 is {human:.3f} on people and"
                    f" {min(distractors):.3f} to {max(distractors):.3f} on synthetic voices."
                )
        for voice in voices:
            order = sorted(
                systems, key=lambda s: (-mean(readings[s.key, voice, name].recall), s.key)
            )
            names = ", ".join(
                f"{s.label} {mean(readings[s.key, voice, name].recall):.3f}" for s in order
            )
            sentences.append(f"{label}, order of the systems, read by {voice}: {names}.")
    return sentences


def _draw(
    context: Context,
    systems: Sequence[ComparedSystem],
    voices: Sequence[str],
    readings: Mapping[tuple[str, str, str], _VoiceResult],
) -> None:
    with drawing(context.out / "recall.png", 7.6, 3.6, columns=2) as panes:
        for pane, (name, label) in zip(panes, SETS.items(), strict=True):
            series = {
                system.label: [
                    estimate(readings[system.key, voice, name].recall) for voice in voices
                ]
                for system in systems
            }
            bars(pane, voices, series, ylabel=METRIC, title=label)
            pane.set_ylim(0, 1.02)
        panes[0].figure.legend(
            *panes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3
        )


EXPERIMENT = Experiment(
    name="realspeech",
    title="Real speech",
    question="How well do results on synthetic speech predict those on people reading the same"
    " sentences?",
    version=1,
    run=run,
)
