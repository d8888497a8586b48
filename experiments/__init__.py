"""Experiments: reproducible studies of the product, each with a fixed protocol.

`python -m experiments NAME` runs one, or resumes an interrupted run. `docs/experiments/` reports
the results.
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
