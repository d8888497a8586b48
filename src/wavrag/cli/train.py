"""`wavrag train`: trains with a contrastive recipe, or WavRetriever stage by stage."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.options import JSON, KOKORO, SEED, Option
from wavrag.cli.output import note, print_json
from wavrag.cli.progress import ProgressBar, StageBars
from wavrag.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from wavrag.data import Task
    from wavrag.embed import Embedder


def recipe(arguments: argparse.Namespace) -> int:
    """Run a contrastive recipe; an interrupted run resumes from its last checkpoint."""
    # find_spec instead of an import, as torch alone takes seconds to load.
    packages = ("torch", "sentence_transformers", "peft", "accelerate", "datasets")
    if any(find_spec(name) is None for name in packages):
        raise MissingExtraError(f"recipe {arguments.recipe}", "train")
    from wavrag.train.contrastive import load_recipe

    # The recipe is checked before torch loads.
    options = load_recipe(arguments.recipe, arguments.set)
    from wavrag.train.contrastive import train_retriever

    def log(line: object) -> None:
        if not arguments.json:
            note(json.dumps(line))

    with ProgressBar("training", "steps", quiet=arguments.json) as bar:
        result = train_retriever(
            options, Path(arguments.out), on_note=note, log=log, on_progress=bar
        )
    if arguments.push:
        from wavrag.train.contrastive import push_model

        push_model(Path(arguments.out), arguments.push)
    if arguments.json:
        print_json(result)
    else:
        print(Path(arguments.out) / "model")
    return 0


def mini(arguments: argparse.Namespace) -> int:
    """Run the remaining stages of WavRetriever."""
    missing = [name for name in ("torch", "onnx") if find_spec(name) is None]
    if missing:
        raise InputError(f"training needs {' and '.join(missing)}: pip install 'wavrag[train]'")
    from wavrag.train.mini import ENGINES, MiniOptions, train_mini

    options = MiniOptions(
        data=Path(arguments.data),
        work=Path(arguments.work),
        engines=_parse_engines(arguments.engine) if arguments.engine else ENGINES,
        kokoro=Path(arguments.kokoro) if arguments.kokoro else None,
        start=Path(arguments.start) if arguments.start else None,
        weights=dict(map(_parse_weight, arguments.weight)),
        tasks=tuple(map(Path, arguments.task)),
        seed=arguments.seed,
    )
    # Every stage has a seed of its own; one option sets them all.
    seed, minutes = arguments.seed, arguments.minutes or math.inf
    rates = tuple(arguments.rates or options.speech.rates)
    options = replace(
        options,
        speech=replace(
            options.speech, epochs=arguments.epochs, minutes=minutes, batch=arguments.batch,
            rates=rates, seed=seed,
        ),
        sounds=replace(options.sounds, seed=seed),
    )  # fmt: skip
    with StageBars() as bars:
        train_mini(options, lambda line: note(json.dumps(line)), bars, _evaluate)
    print(options.work / "model")
    return 0


# Passed to the training, because train/ and evaluate/ do not import each other.
def _evaluate(task: Task, embedder: Embedder) -> dict[str, dict[str, float]]:
    from wavrag.evaluate import evaluate_embedder

    systems = evaluate_embedder(task, embedder)
    return {system.legs: dict(system.metrics) for system in systems}


def _parse_engines(values: list[str]) -> dict[str, int]:
    engines = {}
    for value in values if values != ["none"] else ():
        name, _, clips = value.partition(":")
        if not clips.isdecimal():
            raise InputError(f"--engine {value}: write NAME:CLIPS, such as flite:6000, or none")
        engines[name] = int(clips)
    return engines


def _parse_weight(value: str) -> tuple[str, float]:
    name, _, weight = value.partition("=")
    if not weight.replace(".", "", 1).isdecimal():
        raise InputError(f"--weight {value}: write SET=WEIGHT, such as flite=0.3")
    return name, float(weight)


MINI = Command(
    "mini",
    "train WavRetriever stage by stage; a later call resumes",
    mini,
    (
        Option("--data", "DIR", "folder of training data", required=True),
        Option("--work", "DIR", "work folder for speech, stages and the model; needs gigabytes",
            required=True),
        Option("--engine", "NAME:CLIPS", "speech engine and number of texts to speak: flite,"
            " espeak, festival or kokoro; or none", unset="flite:6000 and espeak:3000",
            repeat=True),
        KOKORO,
        Option("--epochs", "N", "CTC training epochs", default=10, minimum=1),
        Option("--minutes", "M", "stop CTC training after M minutes", unset="none", minimum=0.0),
        Option("--batch", "SECONDS", "padded audio per batch", default=160.0, minimum=20.0),
        Option("--rates", ("LOWER", "UPPER", "NEW"), "peak learning rates of the convolutions and"
            " lower layers, of the upper layers, and of the new layers; 0 freezes layers",
            unset="1e-4 3e-4 1e-3", nargs=3, minimum=0.0),
        Option("--weight", "SET=WEIGHT", "how often an epoch uses each clip of a set of speech;"
            " 0 leaves the set out", unset="2 for human, 0.3 for robotic, 1 for other speech",
            repeat=True),
        Option("--start", "FILE", ".safetensors of an earlier run, with an encoder and its letters,"
            " to start from", unset="the pretrained encoder"),
        Option("--task", "DIR", "retrieval task to measure the finished model on", repeat=True),
        SEED,
    ),
    (
        "wavrag train mini --data DATA_DIR --work WORK_DIR",
        "wavrag train mini --data DATA_DIR --work WORK_DIR --epochs 40 --minutes 60",
        "wavrag train mini --data DATA_DIR --work WORK_DIR --start letters.safetensors"
        " --rates 0 1e-4 1e-4",
        "wavrag train mini --data DATA_DIR --work WORK_DIR --engine flite:6000 --task tasks/qed",
    ),
)  # fmt: skip

COMMAND = Command(
    "train",
    "train a retriever for speech",
    recipe,
    (
        Option("--recipe", "NAME", "paper-qwen2-audio, paper-small, tiny, or a .toml file",
            required=True),
        Option("--out", "DIR", "run folder; an interrupted run resumes", required=True),
        Option("--set", "KEY=VALUE", "override a value of the recipe, such as"
            " loss.temperature=0.02", repeat=True),
        Option("--push", "ORG/NAME", "upload the trained model to the Hugging Face Hub"),
        JSON,
    ),
    (
        "wavrag train --recipe tiny --out runs/tiny",
        "wavrag train --recipe paper-qwen2-audio --out runs/paper --set optim.batch=16",
        "wavrag train mini --data DATA_DIR --work WORK_DIR",
    ),
    subcommands={"commands": (MINI,)},
)  # fmt: skip
