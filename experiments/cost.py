"""Cost: CPU time, energy and money per hour of audio and per thousand questions.

Measured by length on the CPU of this machine, and modelled for a GPU by a formula with adjustable
parameters. The measured part belongs to the timings, which differ in every run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.base import Cell, Column, Context, Experiment, Results, Table
from experiments.gpu import MODELS, OPTIONS, UNITS, WINDOWS_AN_HOUR, gpu_seconds
from experiments.plots import drawing, lines
from experiments.search import ComparedSystem, list_systems, untrained_sentences
from wavrag import config
from wavrag.audio import SAMPLE_RATE, load
from wavrag.embed import load_embedder
from wavrag.evaluate import Cost
from wavrag.kb import KnowledgeBase
from wavrag.types import Clip, Document, EmbedInput, Float32

QUESTION_SECONDS = (1, 2, 3, 5, 10, 20, 30)
RECORDING_MINUTES = (1, 3, 10)
QUICK_SECONDS, QUICK_MINUTES = (1, 3), (0.2, 0.5)
REPEATS = 7  # measurements of a question; their median counts
PAUSE = 0.4  # s between sentences
RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")  # also the path of AMD's counters


def run(context: Context) -> Results:
    """Measure the systems on this machine, and compute the model of a GPU."""
    systems, left_out = list_systems(context)
    seconds = QUICK_SECONDS if context.quick else QUESTION_SECONDS
    minutes = QUICK_MINUTES if context.quick else RECORDING_MINUTES
    completed, total = 0, 2 * len(systems)
    measurements: dict[tuple[str, str], list[dict[str, float]]] = {}
    for system in systems:
        for activity, lengths, measure in (
            ("questions", seconds, _questions),
            ("recordings", minutes, _recordings),
        ):
            context.on_progress("cost", completed, total)
            measurements[system.key, activity] = context.step(
                f"{system.key}-{activity}",
                partial(measure, context, system.embedder, lengths),
                {"embedder": system.embedder, "threads": config.threads()},
            )
            completed += 1
    if not RAPL.is_file():
        left_out.append(
            f"Joules: this machine shows no counter of its energy ({RAPL} is not there)."
        )
    _draw(context, systems, measurements)
    price = context.options
    return Results(
        (_model_table(price), _assumptions_table(price)),
        figures={"length": "length.png"},
        captions={"length": "CPU seconds by length: of a question, and of a recording"},
        findings=tuple(_model_findings(price)),
        left_out=(*left_out, "A GPU: none is at hand. What is said of one is a model."),
        timings=(
            _questions_table(systems, measurements, price),
            _recordings_table(systems, measurements, price),
        ),
    )


def _speech(context: Context, seconds: float) -> Float32:
    """Concatenate read sentences up to a duration in seconds."""
    recordings: list[Float32] = []
    rows = untrained_sentences(context)
    order = np.random.default_rng(context.seed).permutation(len(rows)).tolist()
    pause = np.zeros(int(PAUSE * SAMPLE_RATE), np.float32)
    count = 0
    while sum(map(len, recordings)) < seconds * SAMPLE_RATE:
        recordings += [
            load(context.data / rows[order[count % len(order)]]["audio"], SAMPLE_RATE).samples,
            pause,
        ]
        count += 1
    return np.concatenate(recordings)[: int(seconds * SAMPLE_RATE)]


def _questions(context: Context, embedder: str, lengths: Sequence[float]) -> list[dict[str, float]]:
    """Measure the median cost of embedding a question of each length, with weights loaded."""
    loaded = load_embedder(embedder)
    repeats = 2 if context.quick else REPEATS
    speech = _speech(context, repeats + max(lengths))
    results = []
    for length in lengths:
        costs = []
        for repeat in range(-1, repeats):  # the first loads weights and is not counted
            start = max(0, repeat) * SAMPLE_RATE
            clip = Clip(speech[start : start + int(length * SAMPLE_RATE)], SAMPLE_RATE)
            cost = _measure_work(lambda clip=clip: loaded.embed([EmbedInput(clip=clip)], "query"))  # type: ignore[misc]
            costs.append(cost)
        results.append(_median(length, costs[1:]))
    return results


def _recordings(
    context: Context, embedder: str, lengths: Sequence[float]
) -> list[dict[str, float]]:
    """Measure the cost of indexing a recording of each length into a new knowledge base."""
    loaded = load_embedder(embedder)
    loaded.embed([EmbedInput(clip=Clip(_speech(context, 1.0), SAMPLE_RATE))], "passage")
    results = []
    for length in lengths:
        document = Document("recording", clip=Clip(_speech(context, 60 * length), SAMPLE_RATE))
        with (
            tempfile.TemporaryDirectory(prefix="wavrag-cost-") as folder,
            KnowledgeBase.open(folder, embedder=loaded, fusion="ranks") as kb,
        ):
            results.append(_median(length, [_measure_work(partial(kb.add, [document]))]))
    return results


def _measure_work(work: Callable[[], Any]) -> dict[str, float]:
    cost, joules = Cost(), _joules()
    with cost.measure():
        work()
    after = _joules()
    results = {"seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds}
    if joules is not None and after is not None and after >= joules:
        results["joules"] = after - joules
    return results


def _joules() -> float | None:
    try:
        return int(RAPL.read_text()) / 1e6
    except OSError:
        return None


def _median(length: float, costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = [name for name in ("seconds", "cpu_seconds", "joules") if all(name in c for c in costs)]
    return {"length": length} | {
        name: float(np.median([cost[name] for cost in costs])) for name in names
    }


Measurements = Mapping[tuple[str, str], Sequence[Mapping[str, float]]]


def _questions_table(
    systems: Sequence[ComparedSystem], measurements: Measurements, price: Mapping[str, float]
) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            result["length"],
            system.label,
            1e3 * result["seconds"],
            result["cpu_seconds"] * 1e3,
            result["joules"] * 1e3 if "joules" in result else None,
            1_000 * result["cpu_seconds"] / 3_600 * price["cpu_core_hour"],
        )
        for row in range(len(measurements[systems[0].key, "questions"]))
        for system in systems
        for result in [measurements[system.key, "questions"][row]]
    ]
    return Table(
        "questions",
        "A thousand spoken questions, measured: from sound to vector and words",
        (
            Column("seconds of a question", 0),
            Column("system"),
            Column("seconds for 1,000", 1),
            Column("CPU seconds for 1,000", 1),
            Column("joules for 1,000", 0),
            Column("dollars for 1,000", 5),
        ),
        tuple(rows),
        f"Median of {REPEATS}, times 1,000. {config.threads()} threads, a machine that others used"
        f" meanwhile; {price['cpu_core_hour']:g} dollars a processor and hour.",
    )


def _recordings_table(
    systems: Sequence[ComparedSystem], measurements: Measurements, price: Mapping[str, float]
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for row in range(len(measurements[systems[0].key, "recordings"])):
        for system in systems:
            result = measurements[system.key, "recordings"][row]
            hours = result["length"] / 60
            rows.append(
                (
                    result["length"],
                    system.label,
                    result["seconds"] / hours,
                    result["cpu_seconds"] / hours,
                    result["joules"] / hours if "joules" in result else None,
                    result["cpu_seconds"] / hours / 3_600 * price["cpu_core_hour"],
                )
            )
    return Table(
        "recordings",
        "An hour of sound indexed, measured: from a recording to a stored, searchable index",
        (
            Column("minutes of a recording", 1),
            Column("system"),
            Column("seconds an hour", 0),
            Column("CPU seconds an hour", 0),
            Column("joules an hour", 0),
            Column("dollars an hour", 5),
        ),
        tuple(rows),
        f"{config.threads()} threads, a machine that others used meanwhile;"
        f" {price['cpu_core_hour']:g} dollars a processor and hour.",
    )


def _model_table(price: Mapping[str, float]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for model in MODELS:
        hour = gpu_seconds(model, 3_600, WINDOWS_AN_HOUR, price["batch"], price)
        question = gpu_seconds(model, price["question_seconds"], 1, 1, price)
        dollars = price["gpu_hour"] / 3_600
        rows.append(
            (model.label, hour, hour * dollars, 1_000 * question, 1_000 * question * dollars)
        )
    return Table(
        "gpu",
        "A GPU, modelled: nothing of this was measured",
        (
            Column("system"),
            Column("GPU seconds an hour of sound", 2),
            Column("dollars an hour of sound", 6),
            Column("GPU seconds for 1,000 questions", 2),
            Column("dollars for 1,000 questions", 6),
        ),
        tuple(rows),
        "Indexing in windows of 12 s, batched; questions one at a time. By the formula of"
        " `gpu_seconds` in `experiments.gpu`; the assumptions are below.",
    )


def _assumptions_table(price: Mapping[str, float]) -> Table:
    return Table(
        "assumptions",
        "What the model assumes; `--set NAME=NUMBER` changes it",
        (Column("name"), Column("value", 2), Column("what")),
        tuple((name, float(price[name]), activity) for name, activity in UNITS.items()),
    )


def _model_findings(price: Mapping[str, float]) -> list[str]:
    retriever, cascade, *_ = (
        gpu_seconds(model, price["question_seconds"], 1, 1, price) for model in MODELS
    )
    hours = [gpu_seconds(model, 3_600, WINDOWS_AN_HOUR, price["batch"], price) for model in MODELS]
    return [
        f"Modelled on a GPU, a single question costs the cascade of Moonshine"
        f" {cascade / retriever:.0f} times the retriever, as it waits for one token after another.",
        f"Modelled on a GPU, indexing in batches, it costs {hours[1] / hours[0]:.1f} times.",
        f"Modelled on a GPU, one pass of an 8B model costs {hours[3] / hours[0]:,.0f} times the"
        " retriever for an hour of sound.",
    ]


def _draw(context: Context, systems: Sequence[ComparedSystem], measurements: Measurements) -> None:
    with drawing(context.out / "length.png", 7.6, 3.6, columns=2) as (left, right):
        for pane, activity, scale, ylabel in (
            (left, "questions", 1_000.0, "CPU milliseconds a question"),
            (right, "recordings", 1.0, "CPU seconds a recording"),
        ):
            series = {
                system.label: [
                    scale * result["cpu_seconds"] for result in measurements[system.key, activity]
                ]
                for system in systems
            }
            x = [result["length"] for result in measurements[systems[0].key, activity]]
            unit = "seconds" if activity == "questions" else "minutes"
            lines(pane, x, series, xlabel=f"length, {unit}", ylabel=ylabel)
            pane.set_ylim(bottom=0)
            pane.set_xlim(left=0)
        left.figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)


EXPERIMENT = Experiment(
    name="cost",
    title="Cost",
    question="What do an hour of audio and a thousand questions cost in CPU time, energy and money,"
    " by length, on this machine and on a GPU?",
    version=1,
    run=run,
    options=OPTIONS,
)
