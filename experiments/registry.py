"""Experiments by name, imported on demand."""

from __future__ import annotations

from importlib import import_module

from experiments.base import Experiment
from wavrag.errors import InputError

EXPERIMENTS = (
    "ablation",
    "noise",
    "longform",
    "realspeech",
    "cost",
    "cot",
    "latent",
    "modality",
    "paralinguistic",
    "fusion",
)
"""Names of the modules with an `EXPERIMENT`."""


def load_experiment(name: str) -> Experiment:
    """Load an experiment by name.

    Raises:
        InputError: there is no experiment of that name.
    """
    if name not in EXPERIMENTS:
        raise InputError(
            f"no experiment is called {name!r}: choose one of {', '.join(EXPERIMENTS)}"
        )
    experiment: Experiment = import_module(f"experiments.{name}").EXPERIMENT
    return experiment
