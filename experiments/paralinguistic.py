"""Paralinguistic information in vectors: linear probes for speaker, gender, age, sound and tune.

A probe is a logistic regression on the vectors. It is tested on recordings, and except for the
speaker probe on speakers, outside its training set. Vectors of the reference transcripts are the
control: they contain only information from the text.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments import plots
from experiments.base import Cell, Column, Context, Estimate, Experiment, Results, Table, estimate
from experiments.vectors import Vectors, add_paper
from wavrag.audio import write_wav
from wavrag.errors import InputError, MissingExtraError
from wavrag.speech import NEUTRAL, load_engine
from wavrag.types import Float32

SYSTEMS = ("wavretriever", "cascade", "raw:moonshine")
WORDS, COMMONEST = "true words (minilm)", "commonest class"
FOLDS = 5
ADULT = 18  # years
TEST_FOLD = 5  # of ESC-10, held out from all training
VOICES = ("en-us+m3", "en-us+f2", "en-gb+m1", "en-gb+f4")  # of espeak-ng
Row = dict[str, Any]
Labels = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A classification task on vectors.

    Attributes:
        name: predicted property.
        labels: label of each recording, shape = (n,).
        groups: group of each recording, the unit of the interval; shape = (n,).
        folds: test fold of each recording, -1 for training only; shape = (n,).
        rows: row of each recording in its set; shape = (n,).
    """

    name: str
    labels: Labels
    groups: Labels
    folds: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


def run(context: Context) -> Results:
    """Embed three sets of recordings, and fit the probes."""
    if find_spec("sklearn") is None:
        raise MissingExtraError("a linear probe", "evaluate")
    speech_rows, sound_rows = _spoken_rows(context), _sounds(context)
    left_out = ["Emotion: no data with it can be had here."]
    sets: dict[str, tuple[list[Probe], dict[str, Float32]]] = {
        "spoken": (
            _voice_probes(speech_rows),
            _vectors(
                context,
                "spoken",
                _paths(context, speech_rows),
                [row["text"] for row in speech_rows],
            ),
        ),
        "sounds": (
            [_sound_probe(sound_rows)],
            _vectors(context, "sounds", _paths(context, sound_rows), None),
        ),
    }
    try:
        tunes = _tunes(context, speech_rows)
    except InputError as error:
        left_out.append(f"Question or statement: {error}.")
    else:
        vectors = _vectors(
            context, "tunes", [row["path"] for row in tunes], [row["text"] for row in tunes]
        )
        sets["tunes"] = ([_tune_probe(tunes)], vectors)
    values: dict[str, dict[str, list[float]]] = {}
    sizes: dict[str, tuple[int, int, int]] = {}
    for probes, vectors in sets.values():
        for probe in probes:
            values[probe.name] = _run_probe(context, probe, vectors)
            is_tested = probe.folds >= 0
            sizes[probe.name] = (
                int(is_tested.sum()),
                len(set(probe.groups[is_tested])),
                len(set(probe.labels)),
            )
    figure = context.out / "probes.png"
    _draw(figure, values)
    return Results(
        tables=(_table(values, sizes), _above_words(values)),
        figures={"probes": figure.name},
        captions={"probes": "Accuracy of linear probes on the vectors of recordings"},
        findings=_findings(values, sizes),
        left_out=tuple(left_out),
    )


def _spoken_rows(context: Context) -> list[Row]:
    """Draw the same number of sentences from each test speaker."""
    by_speaker: dict[str, list[Row]] = {}
    for row in context.rows("speech/speechocean762.jsonl"):
        if row["split"] == "test":
            by_speaker.setdefault(row["speaker"], []).append(row)
    draw = random.Random(context.seed)
    ages = {
        young: [s for s in sorted(by_speaker) if (by_speaker[s][0]["age"] < ADULT) is young]
        for young in (True, False)
    }
    half = context.size(int(context.options["speakers"]) // 2, 5)
    per_speaker = context.size(int(context.options["sentences"]), 4)
    return [
        row
        for speakers in ages.values()
        for speaker in sorted(draw.sample(speakers, min(half, len(speakers))))
        for row in draw.sample(by_speaker[speaker], min(per_speaker, len(by_speaker[speaker])))
    ]


def _sounds(context: Context) -> list[Row]:
    """Select the clips of the test fold, and some of every class of the other folds."""
    per_class = context.size(5, 2)  # clips per class and training fold
    counts: dict[tuple[str, int], int] = {}
    selection = []
    for row in context.rows("sounds/esc10.jsonl"):
        group = row["label"], row["fold"]
        counts[group] = counts.get(group, 0) + 1
        if counts[group] <= per_class or (row["fold"] == TEST_FOLD and not context.quick):
            selection.append(row)
    return selection


def _tunes(context: Context, speech_rows: Sequence[Row]) -> list[Row]:
    """Synthesise the same words with a full stop and with a question mark."""
    engine = load_engine("espeak")
    texts = sorted({row["text"] for row in speech_rows})
    texts = random.Random(context.seed).sample(
        texts, min(len(texts), context.size(int(context.options["tunes"]), 8))
    )
    folder = context.out / "tunes"
    folder.mkdir(exist_ok=True)
    rows = []
    for number, text in enumerate(texts):
        voice = VOICES[number % len(VOICES)]
        for kind, mark in (("statement", "."), ("question", "?")):
            path = folder / f"{number:03d}-{kind}.wav"
            if not path.exists():
                write_wav(path, engine.speak(f"{text.capitalize()}{mark}", voice, NEUTRAL))
            rows.append({"path": path, "text": text, "kind": kind})
    return rows


def _paths(context: Context, rows: Sequence[Row]) -> list[Path]:
    return [context.data / row["audio"] for row in rows]


def _vectors(
    context: Context, key: str, paths: Sequence[Path], texts: Sequence[str] | None
) -> dict[str, Float32]:
    vectors = {
        name: Vectors(context, name).recordings(key, paths) for name in add_paper(context, SYSTEMS)
    }
    if texts is not None:
        vectors[WORDS] = Vectors(context, "minilm").texts(f"{key}-words", texts)
    return vectors


def _voice_probes(rows: Sequence[Row]) -> list[Probe]:
    speakers = np.array([row["speaker"] for row in rows])
    seen: dict[str, int] = {}
    turn = []  # number of each sentence among those of its speaker
    for speaker in speakers:
        seen[speaker] = seen.get(speaker, -1) + 1
        turn.append(seen[speaker])
    order = {speaker: number for number, speaker in enumerate(dict.fromkeys(speakers))}
    by_speaker = np.array([order[speaker] % FOLDS for speaker in speakers])
    young = np.array([row["age"] < ADULT for row in rows])
    gender = np.array([row["gender"] for row in rows])
    all_rows = np.arange(len(rows))
    adult_rows = all_rows[~young]
    return [
        Probe("speaker", speakers, speakers, np.array(turn) % FOLDS, all_rows),
        Probe(
            "gender of adults",
            gender[adult_rows],
            speakers[adult_rows],
            by_speaker[adult_rows],
            adult_rows,
        ),
        Probe("gender", gender, speakers, by_speaker, all_rows),
        Probe("child or adult", np.where(young, "child", "adult"), speakers, by_speaker, all_rows),
    ]


def _sound_probe(rows: Sequence[Row]) -> Probe:
    is_tested = np.array([row["fold"] == TEST_FOLD for row in rows])
    return Probe(
        "sound class",
        np.array([row["label"] for row in rows]),
        np.array([row["freesound_id"] for row in rows]),
        np.where(is_tested, 0, -1),
        np.arange(len(rows)),
    )


def _tune_probe(rows: Sequence[Row]) -> Probe:
    texts = np.array([row["text"] for row in rows])
    order = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return Probe(
        "question or statement",
        np.array([row["kind"] for row in rows]),
        texts,
        np.array([order[text] % FOLDS for text in texts]),
        np.arange(len(rows)),
    )


def _run_probe(
    context: Context, probe: Probe, vectors: Mapping[str, Float32]
) -> dict[str, list[float]]:
    """Compute the accuracy of each group, by system."""
    accuracies = {}
    for number, (name, rows) in enumerate(vectors.items()):
        context.on_progress(f"probing: {probe.name}", number, len(vectors))
        key = f"probe-{probe.name}-{name}".replace(" ", "-").replace(":", "+")
        key = "".join(letter for letter in key if letter not in "()")
        about = {"recordings": len(probe.rows)}
        accuracies[name] = context.step(key, partial(_accuracy, probe, rows[probe.rows]), about)
    accuracies[COMMONEST] = _accuracy(probe, None)
    return accuracies


def _accuracy(probe: Probe, vectors: Float32 | None) -> list[float]:
    """Compute the accuracy in each group; without vectors, predict the most common class."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

    right = np.zeros(len(probe.labels), bool)
    for fold in sorted(set(probe.folds[probe.folds >= 0].tolist())):
        is_tested = probe.folds == fold
        if vectors is None:
            kinds, counts = np.unique(probe.labels[~is_tested], return_counts=True)
            right[is_tested] = probe.labels[is_tested] == kinds[counts.argmax()]
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        model.fit(vectors[~is_tested], probe.labels[~is_tested])
        right[is_tested] = model.predict(vectors[is_tested]) == probe.labels[is_tested]
    groups = dict.fromkeys(probe.groups[probe.folds >= 0].tolist())
    return [float(right[(probe.groups == group) & (probe.folds >= 0)].mean()) for group in groups]


def _table(
    values: Mapping[str, Mapping[str, Sequence[float]]], sizes: Mapping[str, tuple[int, int, int]]
) -> Table:
    systems = (*_embedders(values), WORDS, COMMONEST)
    rows: list[tuple[Cell, ...]] = []
    for name, accuracies in values.items():
        cells = (
            estimate(accuracies[system]) if system in accuracies else None for system in systems
        )
        rows.append((name, *sizes[name], *cells))
    return Table(
        "probes",
        "Accuracy of linear probes",
        (
            Column("probe"),
            Column("recordings"),
            Column("groups"),
            Column("classes"),
            *(Column(system) for system in systems),
        ),
        tuple(rows),
        "Means over groups with intervals over groups: speakers, recordings of Freesound, or texts."
        " `commonest class` says what most of the recordings that were fitted to are. Chance is"
        " that, or one part in so many classes, whichever is more.",
    )


def _above_words(values: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, accuracies in values.items():
        control = WORDS if WORDS in accuracies else COMMONEST
        gains = (
            estimate(np.subtract(accuracies[system], accuracies[control]).tolist())
            for system in _embedders(values)
        )
        rows.append((name, control, *gains))
    return Table(
        "above",
        "Accuracy above the control, for the same groups",
        (Column("probe"), Column("control"), *(Column(system) for system in _embedders(values))),
        tuple(rows),
        "What lies above the words was heard and not read.",
    )


def _embedders(values: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    """Return the names of the embedders among the systems of the probes."""
    names = dict.fromkeys(name for accuracies in values.values() for name in accuracies)
    return [name for name in names if name not in {WORDS, COMMONEST}]


def _findings(
    values: Mapping[str, Mapping[str, Sequence[float]]], sizes: Mapping[str, tuple[int, int, int]]
) -> tuple[str, ...]:
    results: dict[str, list[str]] = {name: [] for name in _embedders(values)}
    for probe, accuracies in values.items():
        controls = {WORDS, COMMONEST} & accuracies.keys()
        for name in _embedders(values):
            lower_ends = [
                estimate(np.subtract(accuracies[name], accuracies[control]).tolist()).ci95[0]
                for control in sorted(controls)
            ]
            lower_ends.append(estimate(accuracies[name]).ci95[0] - 1 / sizes[probe][2])
            if min(lower_ends) > 0:
                results[name].append(probe)
    return tuple(
        f"{name} keeps more than the words, and than chance, of: {', '.join(probes) or 'nothing'}."
        for name, probes in results.items()
    )


def _draw(path: Path, values: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    with plots.drawing(path, 9.0, 4.2) as (axes,):
        series: dict[str, list[Estimate | float | None]] = {
            system: [
                estimate(accuracies[system]) if system in accuracies else None
                for accuracies in values.values()
            ]
            for system in (*_embedders(values), WORDS, COMMONEST)
        }
        names = [name.replace(" or ", " or\n").replace(" of ", "\nof ") for name in values]
        plots.bars(axes, names, series, ylabel="accuracy, 95 % interval")
        axes.set_ylim(0, 1.02)
        axes.figure.legend(loc="outside lower center", ncols=5)


EXPERIMENT = Experiment(
    name="paralinguistic",
    title="Paralinguistic information in vectors",
    question="Can speaker, gender, age, the class of a sound, and the intonation of a question be"
    " predicted from the vectors of recordings?",
    version=1,
    run=run,
    options={"speakers": 60, "sentences": 8, "tunes": 80},
)
