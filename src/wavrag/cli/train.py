"""`wavrag train`: a recipe of the package, or WavRetriever-mini stage by stage."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.options import add_json, add_list, add_seed, number, whole_number
from wavrag.cli.output import note, print_json
from wavrag.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from wavrag.data import Task
    from wavrag.embed import Embedder


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag train`."""
    parser.add_argument(
        "--recipe",
        required=True,
        metavar="NAME",
        help="paper-qwen2-audio, tiny, or a .toml file",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="run folder; an interrupted run resumes"
    )
    add_list(
        parser,
        "--set",
        "KEY=VALUE",
        "override a value of the recipe, such as loss.temperature=0.02; may be repeated",
    )
    parser.add_argument(
        "--push", metavar="ORG/NAME", help="upload the trained model to the Hugging Face Hub"
    )
    add_json(parser)


def add_mini_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag train mini`."""
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of training data")
    parser.add_argument(
        "--work",
        required=True,
        metavar="DIR",
        help="work folder for features, stages and the model; needs gigabytes",
    )
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME:CLIPS",
        help="speech engine and number of texts to speak: flite, espeak, festival or kokoro; may be"
        " repeated (default: flite:6000 and espeak:3000)",
    )
    parser.add_argument("--kokoro", metavar="DIR", help="folder of the Kokoro model")
    parser.add_argument(
        "--epochs",
        type=whole_number(1),
        default=10,
        metavar="N",
        help="CTC training epochs (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes",
        type=number(0),
        metavar="M",
        help="stop CTC training after M minutes (default: no limit)",
    )
    parser.add_argument(
        "--start",
        metavar="FILE",
        help="heads.npz of an earlier run to initialise from (default: none)",
    )
    parser.add_argument(
        "--task",
        action="append",
        metavar="DIR",
        help="retrieval task to measure the finished model on; may be repeated",
    )
    add_seed(parser)


def recipe(arguments: argparse.Namespace) -> int:
    """Run a contrastive recipe, from its last checkpoint if it was cut off."""
    needed = ("torch", "sentence_transformers", "peft", "accelerate", "datasets")
    if any(find_spec(name) is None for name in needed):
        raise MissingExtraError(f"recipe {arguments.recipe}", "train")
    from wavrag.train.contrastive import load_recipe

    options = load_recipe(arguments.recipe, arguments.set)
    from wavrag.train.contrastive import train_retriever

    bar = _Bar(quiet=arguments.json)
    say = (lambda message: None) if arguments.json else note
    result = train_retriever(
        options,
        Path(arguments.out),
        on_note=note,
        log=lambda line: say(json.dumps(line)),
        on_progress=lambda done, total: bar("train", done, total),
    )
    bar.close()
    if arguments.push:
        from wavrag.train.contrastive import push_model

        push_model(Path(arguments.out), arguments.push)
    if arguments.json:
        print_json(result)
    else:
        print(Path(arguments.out) / "model")
    return 0


def mini(arguments: argparse.Namespace) -> int:
    """Run the recipe of WavRetriever-mini as far as it is not done."""
    missing = [name for name in ("torch", "onnx", "transformers") if find_spec(name) is None]
    if missing:
        raise InputError(f"training needs {' and '.join(missing)}: pip install 'wavrag[train]'")
    from wavrag.train.mini import ENGINES, MiniOptions, train_mini

    options = MiniOptions(
        data=Path(arguments.data),
        work=Path(arguments.work),
        engines=dict(map(_engine, arguments.engine)) if arguments.engine else ENGINES,
        kokoro=Path(arguments.kokoro) if arguments.kokoro else None,
        start=Path(arguments.start) if arguments.start else None,
        tasks=tuple(map(Path, arguments.task or ())),
        seed=arguments.seed,
    )
    speech = replace(
        options.speech,
        epochs=arguments.epochs,
        minutes=arguments.minutes or math.inf,
        seed=arguments.seed,
    )
    options = replace(
        options,
        speech=speech,
        reader=replace(options.reader, seed=arguments.seed),
        sounds=replace(options.sounds, seed=arguments.seed),
    )
    bar = _Bar()
    train_mini(options, lambda line: note(json.dumps(line)), bar, _evaluate)
    bar.close()
    print(options.work / "model")
    return 0


def _evaluate(task: Task, embedder: Embedder) -> dict[str, dict[str, float]]:
    from wavrag.evaluate import evaluate_embedder

    systems = evaluate_embedder(task, embedder)
    return {system.legs: dict(system.metrics) for system in systems}


def _engine(given: str) -> tuple[str, int]:
    name, _, clips = given.partition(":")
    if not clips.isdecimal():
        raise InputError(f"--engine {given}: write NAME:CLIPS, such as flite:6000")
    return name, int(clips)


class _Bar:
    """One progress bar a stage, on standard error if that is a terminal."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet or None  # None: quiet where standard error is no terminal
        self._stage = ""
        self._bar: object = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Draw how far a stage is."""
        from tqdm import tqdm

        if stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=total, desc=stage, file=sys.stderr, disable=self._quiet)
        self._bar.total = total  # type: ignore[attr-defined]
        self._bar.n = done  # type: ignore[attr-defined]
        self._bar.refresh()  # type: ignore[attr-defined]

    def close(self) -> None:
        """End the bar of the present stage."""
        if self._bar is not None:
            self._bar.close()  # type: ignore[attr-defined]


MINI = Command(
    "mini",
    "train WavRetriever-mini stage by stage; a later call resumes",
    mini,
    add_mini_arguments,
    (
        "wavrag train mini --data DATA_DIR --work WORK_DIR",
        "wavrag train mini --data DATA_DIR --work WORK_DIR --epochs 40 --minutes 60",
        "wavrag train mini --data DATA_DIR --work WORK_DIR --engine flite:6000 --task tasks/qed",
    ),
)

COMMAND = Command(
    "train",
    "train a retriever for speech",
    recipe,
    add_recipe_arguments,
    (
        "wavrag train --recipe tiny --out runs/tiny",
        "wavrag train --recipe paper-qwen2-audio --out runs/paper --set optim.batch=16",
        "wavrag train mini --data DATA_DIR --work WORK_DIR",
    ),
    subcommands={"commands": (MINI,)},
)
