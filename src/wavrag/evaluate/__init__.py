"""Runs to numbers: metrics, retrieval tasks, and the figures of the product on them.

Knows nothing of HTTP, and no more of models than their names.
"""

from wavrag.evaluate.metrics import METRICS, confidence_intervals, evaluate_run, mean
from wavrag.evaluate.report import report_dict, table
from wavrag.evaluate.retrieval import LEGS, System, evaluate_embedder
from wavrag.evaluate.tasks import Entry, Task, load_task

__all__ = [
    "LEGS",
    "METRICS",
    "Entry",
    "System",
    "Task",
    "confidence_intervals",
    "evaluate_embedder",
    "evaluate_run",
    "load_task",
    "mean",
    "report_dict",
    "table",
]
