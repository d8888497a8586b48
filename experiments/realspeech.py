"""Real speech: the same sentences read by people and by synthesisers, from every system.

There are no questions spoken by people to be had. So sentences are: read aloud by people, and the
very same texts by programs. Each recording looks for its own text among others.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from experiments.asked import (
    Asked,
    System,
    sample,
    systems,
    untrained_sentences,
)
from experiments.base import (
    Cell,
    Column,
    Context,
    Estimate,
    Experiment,
    Results,
    Table,
    estimate,
)
from experiments.plots import bars, drawing
from wavrag.audio import SAMPLE_RATE, load
from wavrag.data import Qrels
from wavrag.evaluate import LEGS, count_word_errors, evaluate_run, mean, paired_bootstrap
from wavrag.speech import NEUTRAL, Engine, load_engine
from wavrag.types import Clip, Document, Query

NATIVE, ACCENTED = 94, 66  # sentences that are asked, of either set
DISTRACTORS = 400  # sentences of the accented set that are texts to find, those asked among them
FEWEST_WORDS = 4  # shorter sentences say too little to be found by
METRIC = "recall@1"
HUMAN = "human"
SETS = {"native": "LibriSpeech, native readers", "accented": "speechocean762, Mandarin accent"}
VOICES = {
    "flite": ("flite", "slt", "flite"),
    "festival": ("festival", "", "text2wave"),
    "espeak": ("espeak", "en-us+f2", "espeak-ng"),
}
"""Engine, voice (empty for the best that the engine has here), program of each reading."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was found and heard of one set in one voice by one system: a value a sentence."""

    recall: list[float]
    dense: list[float]
    wer: float
    wer_ci95: tuple[float, float]


def run(context: Context) -> Results:
    """Look for every sentence in every voice."""
    native = sample(
        _long_enough(context.rows("speech/librispeech.jsonl")),
        context.size(NATIVE, 4),
        context.seed,
    )
    accented = _long_enough(untrained_sentences(context))
    others = sample(accented, context.size(DISTRACTORS, 20), context.seed)
    asked_of = {
        "native": native,
        "accented": sample(others, context.size(ACCENTED, 4), context.seed),
    }
    texts = {row["text"]: f"text-{n:04d}" for n, row in enumerate([*native, *others])}
    documents = [Document(id, text=text) for text, id in texts.items()]
    compared, left_out = systems(context)
    voices = [HUMAN]
    for voice, (_, _, program) in VOICES.items():
        if shutil.which(program) is None:
            left_out.append(f"The voice of {voice}: the program {program} is not installed.")
        else:
            voices.append(voice)
    sounds = _Readings(context)
    readings: dict[tuple[str, str, str], _Reading] = {}
    done, total = 0, len(compared) * len(voices) * len(SETS)
    for system in compared:
        with Asked(system.embedder, documents) as asked:
            for voice in voices:
                for name, rows in asked_of.items():
                    context.on_progress("realspeech", done, total)
                    found = context.step(
                        f"{system.key}-{voice}-{name}",
                        partial(_ask, sounds, asked, voice, rows),
                        {"embedder": system.embedder},
                    )
                    readings[system.key, voice, name] = _reading(found, rows, texts)
                    done += 1
    _draw(context, compared, voices, readings)
    return Results(
        (
            _table(compared, voices, readings, asked_of, len(documents)),
            _differences(compared, voices, readings),
        ),
        figures={"recall": "recall.png"},
        captions={"recall": "Recall@1 of human and synthetic readings of the same sentences"},
        findings=tuple(_findings(compared, voices, readings)),
        left_out=(
            "Questions spoken by people: there are none to be had with their passages.",
            "Neural voices: the model of Kokoro is not among the data.",
            *left_out,
        ),
    )


def _long_enough(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first recording of every text of enough words."""
    firsts = {row["text"]: row for row in reversed(rows)}
    return [firsts[text] for text in reversed(firsts) if len(text.split()) >= FEWEST_WORDS]


class _Readings:
    """Every sentence in every voice; what was synthesised is kept for the next system."""

    def __init__(self, context: Context) -> None:
        self._data = context.data
        self._engines: dict[str, Engine] = {}
        self._spoken: dict[tuple[str, str], Clip] = {}

    def clip(self, voice: str, row: Mapping[str, Any]) -> Clip:
        """A sentence as read by people, or by a program."""
        if voice == HUMAN:
            return load(self._data / row["audio"], SAMPLE_RATE)
        key = voice, row["text"]
        if key not in self._spoken:
            name, speaker, _ = VOICES[voice]
            engine = self._engines.setdefault(voice, load_engine(name))
            self._spoken[key] = engine.speak(row["text"], speaker or engine.default_voice, NEUTRAL)
        return self._spoken[key]


def _ask(
    sounds: _Readings, asked: Asked, voice: str, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    ranked: dict[str, dict[str, list[str]]] = {leg: {} for leg in LEGS}
    heard = {}
    for row in rows:
        clip = sounds.clip(voice, row)
        legs, heard[row["id"]] = asked.answer(Query(clip=clip))
        for leg, found in legs.items():
            ranked[leg][row["id"]] = found
    return {"ranked": ranked, "heard": heard}


def _reading(
    found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], texts: Mapping[str, str]
) -> _Reading:
    qrels: Qrels = {row["id"]: {texts[row["text"]]: 1.0} for row in rows}
    errors = count_word_errors(
        [row["text"] for row in rows], [found["heard"][r["id"]] for r in rows]
    )
    fused, dense = (evaluate_run(found["ranked"][leg], qrels)[METRIC] for leg in ("fused", "dense"))
    return _Reading(fused, dense, errors.rate, errors.ci95)


def _table(
    compared: Sequence[System],
    voices: Sequence[str],
    readings: Mapping[tuple[str, str, str], _Reading],
    asked_of: Mapping[str, Sequence[Any]],
    entries: int,
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, label in SETS.items():
        for voice in voices:
            for system in compared:
                one = readings[system.key, voice, name]
                rows.append(
                    (
                        label,
                        voice,
                        system.label,
                        estimate(one.recall),
                        estimate(one.dense),
                        Estimate(one.wer, one.wer_ci95),
                    )
                )
    counts = " and ".join(f"{len(rows)} of {SETS[name]}" for name, rows in asked_of.items())
    return Table(
        "readings",
        f"Sentences to {entries} texts: {counts}",
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
    compared: Sequence[System],
    voices: Sequence[str],
    readings: Mapping[tuple[str, str, str], _Reading],
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, label in SETS.items():
        for system in compared:
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
    compared: Sequence[System],
    voices: Sequence[str],
    readings: Mapping[tuple[str, str, str], _Reading],
) -> list[str]:
    sentences = []
    for name, label in SETS.items():
        for system in compared:
            human = mean(readings[system.key, HUMAN, name].recall)
            others = [mean(readings[system.key, voice, name].recall) for voice in voices[1:]]
            if others:
                sentences.append(
                    f"{label}, {system.label}: recall@1 is {human:.3f} on people and"
                    f" {min(others):.3f} to {max(others):.3f} on synthetic voices."
                )
        for voice in voices:
            order = sorted(
                compared, key=lambda s: (-mean(readings[s.key, voice, name].recall), s.key)
            )
            names = ", ".join(
                f"{s.label} {mean(readings[s.key, voice, name].recall):.3f}" for s in order
            )
            sentences.append(f"{label}, order of the systems, read by {voice}: {names}.")
    return sentences


def _draw(
    context: Context,
    compared: Sequence[System],
    voices: Sequence[str],
    readings: Mapping[tuple[str, str, str], _Reading],
) -> None:
    with drawing(context.out / "recall.png", 7.6, 3.6, columns=2) as panes:
        for pane, (name, label) in zip(panes, SETS.items(), strict=True):
            series = {
                system.label: [
                    estimate(readings[system.key, voice, name].recall) for voice in voices
                ]
                for system in compared
            }
            bars(pane, voices, series, ylabel=METRIC, title=label)
            pane.set_ylim(0, 1.02)
        panes[0].figure.legend(
            *panes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3
        )


EXPERIMENT = Experiment(
    name="realspeech",
    title="Real speech",
    question="How far do figures on synthetic speech speak for people reading the same sentences?",
    version=1,
    run=run,
)
