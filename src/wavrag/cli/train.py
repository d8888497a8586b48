"""`wavrag train`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from wavrag.cli.output import note
from wavrag.errors import InputError


def mini(arguments: argparse.Namespace) -> int:
    """Run the recipe of WavRetriever-mini as far as it is not done."""
    missing = [name for name in ("torch", "onnx", "transformers") if find_spec(name) is None]
    if missing:
        raise InputError(f"training needs {' and '.join(missing)}: pip install 'wavrag[train]'")
    from wavrag.train.recipe import ENGINES, MiniOptions, run

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
    run(options, lambda line: note(json.dumps(line)), bar)
    bar.close()
    print(options.work / "model")
    return 0


def _engine(given: str) -> tuple[str, int]:
    name, _, clips = given.partition(":")
    if not clips.isdecimal():
        raise InputError(f"--engine {given}: write NAME:CLIPS, such as flite:6000")
    return name, int(clips)


class _Bar:
    """One progress bar a stage, on standard error if that is a terminal."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: object = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Draw how far a stage is."""
        from tqdm import tqdm

        if stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=total, desc=stage, file=sys.stderr, disable=None)
        self._bar.total = total  # type: ignore[attr-defined]
        self._bar.n = done  # type: ignore[attr-defined]
        self._bar.refresh()  # type: ignore[attr-defined]

    def close(self) -> None:
        """End the bar of the present stage."""
        if self._bar is not None:
            self._bar.close()  # type: ignore[attr-defined]
