"""Runs to numbers: metrics, retrieval tasks, and the figures of the product on them.

Knows nothing of HTTP, and no more of models than their names.
"""

from wavrag.evaluate.metrics import METRICS, confidence_intervals, evaluate_run, mean
from wavrag.evaluate.report import report_dict, table
from wavrag.evaluate.retrieval import evaluate_embedder
from wavrag.evaluate.significance import Difference, holm, paired_bootstrap, paired_randomisation
from wavrag.evaluate.system import LEGS, System
from wavrag.evaluate.wer import WordErrors, word_errors

__all__ = [
    "LEGS",
    "METRICS",
    "Difference",
    "System",
    "WordErrors",
    "confidence_intervals",
    "evaluate_embedder",
    "evaluate_run",
    "holm",
    "mean",
    "paired_bootstrap",
    "paired_randomisation",
    "report_dict",
    "table",
    "word_errors",
]
