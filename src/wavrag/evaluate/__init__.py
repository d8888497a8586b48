"""Runs to numbers: metrics, retrieval tasks, and the figures of the product on them.

Knows nothing of HTTP, and no more of models than their names.
"""

from wavrag.evaluate.answers import (
    MARKS,
    GoldQuestion,
    answers_dict,
    answers_table,
    contains,
    evaluate_answers,
    exact_match,
    load_questions,
    token_f1,
)
from wavrag.evaluate.comparison import compare_results, comparison_list, comparison_table
from wavrag.evaluate.cost import Cost
from wavrag.evaluate.metrics import DEPTH, METRICS, confidence_intervals, evaluate_run, mean
from wavrag.evaluate.page import PageOptions, report_page, write_page
from wavrag.evaluate.report import report_dict, table
from wavrag.evaluate.results import evaluations, read_figures
from wavrag.evaluate.retrieval import (
    SECOND_PART,
    UNTITLED,
    best_passages,
    check_modalities,
    evaluate_embedder,
)
from wavrag.evaluate.significance import Difference, holm, paired_bootstrap, paired_randomisation
from wavrag.evaluate.system import LEGS, Legs, System
from wavrag.evaluate.wer import WordErrors, edits, word_errors

__all__ = [
    "DEPTH",
    "LEGS",
    "MARKS",
    "METRICS",
    "SECOND_PART",
    "UNTITLED",
    "Cost",
    "Difference",
    "GoldQuestion",
    "Legs",
    "PageOptions",
    "System",
    "WordErrors",
    "answers_dict",
    "answers_table",
    "best_passages",
    "check_modalities",
    "compare_results",
    "comparison_list",
    "comparison_table",
    "confidence_intervals",
    "contains",
    "edits",
    "evaluate_answers",
    "evaluate_embedder",
    "evaluate_run",
    "evaluations",
    "exact_match",
    "holm",
    "load_questions",
    "mean",
    "paired_bootstrap",
    "paired_randomisation",
    "read_figures",
    "report_dict",
    "report_page",
    "table",
    "token_f1",
    "word_errors",
    "write_page",
]
