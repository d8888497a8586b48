"""Evaluation: metrics, retrieval tasks, answers, significance tests, and reports."""

from wavrag.evaluate.answers import (
    GoldQuestion,
    answers_to_dict,
    contains,
    evaluate_answers,
    exact_match,
    format_answers,
    load_questions,
    token_f1,
)
from wavrag.evaluate.claims import CITATION_MARKS
from wavrag.evaluate.comparison import compare_results, comparisons_to_list, format_comparison
from wavrag.evaluate.cost import Cost
from wavrag.evaluate.logistic import fit_logistic
from wavrag.evaluate.metrics import DEPTH, METRICS, confidence_intervals, evaluate_run, mean
from wavrag.evaluate.page import render_report
from wavrag.evaluate.report import format_report, report_to_dict
from wavrag.evaluate.results import read_evaluations, read_figures
from wavrag.evaluate.retrieval import (
    AUDIO_SUFFIX,
    BLANK_TITLE,
    best_passages,
    check_modalities,
    evaluate_embedder,
)
from wavrag.evaluate.significance import Difference, holm, paired_bootstrap, paired_randomisation
from wavrag.evaluate.system import LEGS, Legs, System
from wavrag.evaluate.wer import WordErrors, count_word_errors

__all__ = [
    "AUDIO_SUFFIX", "BLANK_TITLE", "CITATION_MARKS", "DEPTH", "LEGS", "METRICS", "Cost",
    "Difference", "GoldQuestion", "Legs", "System", "WordErrors", "answers_to_dict",
    "best_passages", "check_modalities", "compare_results", "comparisons_to_list",
    "confidence_intervals", "contains", "count_word_errors", "evaluate_answers",
    "evaluate_embedder", "evaluate_run", "exact_match", "fit_logistic", "format_answers",
    "format_comparison", "format_report", "holm", "load_questions", "mean", "paired_bootstrap",
    "paired_randomisation",
    "read_evaluations", "read_figures", "render_report", "report_to_dict", "token_f1",
]  # fmt: skip
