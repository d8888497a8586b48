"""`wavrag train`: trains with a contrastive recipe, or WavRetriever-mini stage by stage."""

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
    """Run the remaining stages of WavRetriever-mini."""
    missing = [name for name in ("torch", "onnx", "transformers") if find_spec(name) is None]
    if missing:
        raise InputError(f"training needs {' and '.join(missing)}: pip install 'wavrag[train]'")
    from wavrag.train.mini import ENGINES, MiniOptions, train_mini

    options = MiniOptions(
        data=Path(arguments.data),
        work=Path(arguments.work),
        engines=dict(map(_parse_engine, arguments.engine)) if arguments.engine else ENGINES,
        kokoro=Path(arguments.kokoro) if arguments.kokoro else None,
        start=Path(arguments.start) if arguments.start else None,
        tasks=tuple(map(Path, arguments.task)),
        seed=arguments.seed,
    )
    # Every stage has a seed of its own; one option sets them all.
    seed, minutes = arguments.seed, arguments.minutes or math.inf
    options = replace(
        options,
        speech=replace(options.speech, epochs=arguments.epochs, minutes=minutes, seed=seed),
        reader=replace(options.reader, seed=seed),
        sounds=replace(options.sounds, seed=seed),
    )
    with StageBars() as bars:
        train_mini(options, lambda line: note(json.dumps(line)), bars, _evaluate)
    print(options.work / "model")
    return 0


# Passed to the training, because train/ and evaluate/ do not import each other.
def _evaluate(task: Task, embedder: Embedder) -> dict[str, dict[str, float]]:
    from wavrag.evaluate import evaluate_embedder

    systems = evaluate_embedder(task, embedder)
    return {system.legs: dict(system.metrics) for system in systems}


def _parse_engine(value: str) -> tuple[str, int]:
    name, _, clips = value.partition(":")
    if not clips.isdecimal():
        raise InputError(f"--engine {value}: write NAME:CLIPS, such as flite:6000")
    return name, int(clips)


MINI = Command(
    "mini",
    "train WavRetriever-mini stage by stage; a later call resumes",
    mini,
    (
        Option("--data", "DIR", "folder of training data", required=True),
        Option("--work", "DIR", "work folder for features, stages and the model; needs gigabytes",
            required=True),
        Option("--engine", "NAME:CLIPS", "speech engine and number of texts to speak: flite,"
            " espeak, festival or kokoro", unset="flite:6000 and espeak:3000", repeat=True),
        KOKORO,
        Option("--epochs", "N", "CTC training epochs", default=10, minimum=1),
        Option("--minutes", "M", "stop CTC training after M minutes", unset="none", minimum=0.0),
        Option("--start", "FILE", "heads.npz of an earlier run to initialise from, or .safetensors"
            " with a trained encoder and its letters", unset="none"),
        Option("--task", "DIR", "retrieval task to measure the finished model on", repeat=True),
        SEED,
    ),
    (
        "wavrag train mini --data DATA_DIR --work WORK_DIR",
        "wavrag train mini --data DATA_DIR --work WORK_DIR --epochs 40 --minutes 60",
        "wavrag train mini --data DATA_DIR --work WORK_DIR --engine flite:6000 --task tasks/qed",
    ),
)  # fmt: skip

COMMAND = Command(
    "train",
    "train a retriever for speech",
    recipe,
    (
        Option("--recipe", "NAME", "paper-qwen2-audio, tiny, or a .toml file", required=True),
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
