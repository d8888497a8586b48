"""Experiments with a fixed protocol: a question, a run that goes on where it stopped, results.

`wavrag experiment NAME` runs one; `docs/experiments/` says what was found.
"""

from wavrag.evaluate.experiments.base import (
    Column,
    Context,
    Estimate,
    Experiment,
    Results,
    Table,
    estimate,
    run_experiment,
)
from wavrag.evaluate.experiments.page import write_page
from wavrag.evaluate.experiments.registry import EXPERIMENTS, load_experiment

__all__ = [
    "EXPERIMENTS",
    "Column",
    "Context",
    "Estimate",
    "Experiment",
    "Results",
    "Table",
    "estimate",
    "load_experiment",
    "run_experiment",
    "write_page",
]
