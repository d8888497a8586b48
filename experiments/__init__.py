"""Experiments with a fixed protocol: a question, a run that goes on where it stopped, results.

`python -m experiments NAME` runs one; `docs/experiments/` says what was found.
"""

from experiments.base import (
    Column,
    Context,
    Estimate,
    Experiment,
    Results,
    Table,
    estimate,
    run_experiment,
)
from experiments.page import write_page
from experiments.registry import EXPERIMENTS, load_experiment

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
