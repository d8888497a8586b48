"""Evaluation of answers: correctness, citations and abstention on questions with gold answers.

The questions are JSON lines with `id`, `question`, `answers` (a list of accepted answers),
`passages` (ids of documents with an answer) and `answerable` (default: true).
"""

from __future__ import annotations

import json
import os
import re
import string
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wavrag.errors import InputError
from wavrag.evaluate.claims import CITATION_MARKS, judge_answer
from wavrag.evaluate.metrics import RESAMPLES, SEED, confidence_interval, mean
from wavrag.generate import Generator
from wavrag.types import Answer

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class GoldQuestion:
    """A question with its gold answers."""

    id: str  # unique in its file
    question: str  # text of the question
    answers: tuple[str, ...] = ()  # accepted answers; empty for an unanswerable question
    # ids of documents with an answer; the end of a path matches the whole path
    passages: tuple[str, ...] = ()
    answerable: bool = True  # True if the knowledge base contains an answer


@dataclass(frozen=True, slots=True)
class Figure:
    """Mean of a metric over the questions to which it applies, with its bootstrap interval."""

    mean: float
    ci95: tuple[float, float]
    questions: int


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """Metrics of one generator's answers."""

    generator: str  # name of the generator
    paths: int  # reasoning paths sampled for each question
    answerable: int  # number of answerable questions; the others are `unanswerable`
    unanswerable: int
    # metrics by name, in display order; a metric that applies to no question is absent
    figures: Mapping[str, Figure]


def load_questions(path: str | os.PathLike[str], limit: int | None = None) -> list[GoldQuestion]:
    """Read and check a file of questions.

    Raises:
        InputError: the file cannot be read, or a line is malformed; the message names the line.
    """
    try:
        # "utf-8-sig" drops the byte order mark that editors on Windows write. `splitlines` would
        # also split at U+2028, which JSON allows inside a string.
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}): name a file of JSON lines") from error
    questions: dict[str, GoldQuestion] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if limit is not None and len(questions) >= limit:
            break
        question = _parse_question(line, f"{path}, line {number}")
        if question.id in questions:
            raise InputError(f"{path}, line {number}: duplicate id {question.id!r}")
        questions[question.id] = question
    if not questions:
        raise InputError(f"{path}: contains no questions: write at least one line")
    return list(questions.values())


def normalise(text: str) -> str:
    """Lower-case a text and remove punctuation, articles and extra white space.

    Source: the evaluation script of SQuAD (Rajpurkar et al., arXiv 1606.05250).
    """
    words = _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(words.split())


def exact_match(answer: str, gold: Sequence[str]) -> float:
    """Return 1 if the normalised answer equals a normalised gold answer, else 0.

    Example:
        >>> exact_match("The Ferry!", ["boat", "ferry"])
        1.0
    """
    return float(normalise(answer) in {normalise(gold_answer) for gold_answer in gold})


def token_f1(answer: str, gold: Sequence[str]) -> float:
    """Return the token F1 of an answer against the best of the gold answers, from 0 to 1."""
    tokens = normalise(answer).split()
    return max((_f1(tokens, normalise(gold_answer).split()) for gold_answer in gold), default=0)


def contains(text: str, gold: Sequence[str]) -> bool:
    """Tell whether a text contains a gold answer, in whole words after normalisation."""
    padded = f" {normalise(text)} "
    return any(f" {words} " in padded for answer in gold if (words := normalise(answer)))


def score(question: GoldQuestion, answer: Answer) -> dict[str, float]:
    """Compute the metrics of one answer, without those that do not apply to its question.

    The metrics of correctness and of citations apply to answerable questions. An answerable
    question without an answer has an `exact_match`, `f1`, `contains` and `citation_recall` of 0.
    `citation_precision` applies if passages are cited, and `supported` if the support check covers
    at least one sentence.
    """
    right = float(answer.found == question.answerable)
    # Two figures, as they trade off: a generator that never abstains answers everything and is
    # never silent, and one that always abstains is the reverse.
    values = {
        "abstention": right,
        "answered" if question.answerable else "silent": right,
        "invented": float(answer.invented_citations),
    }
    checks = [support for support in answer.support if support.checkable]
    if answer.found and checks:
        values["supported"] = mean([float(support.supported) for support in checks])
    if question.answerable:
        values |= _score_answer(question, answer)
    return values


FIGURES: Mapping[str, str] = {
    "exact_match": "normalised short answer, or answer, equals a gold answer",
    "f1": "token F1 of the short answer, or answer, against the best gold answer",
    "contains": "answer contains a gold answer",
    "citation_precision": "share of cited passages with a gold answer",
    "citation_recall": "share of gold documents cited",
    "supported": "share of sentences supported by their citations",
    "claims": "share of claims supported by the cited passages, by the judge",
    "answered": "share of answerable questions answered",
    "silent": "share of unanswerable questions without an answer",
    "abstention": "share of all questions rightly answered or not answered",
    "invented": "citations of missing sources per question",
    "seconds": "time from question to answer",
}


def evaluate_answers(
    ask: Callable[[str], Answer],
    questions: Sequence[GoldQuestion],
    *,
    generator: str = "",
    paths: int = 1,
    judge: Generator | None = None,
    on_question: Callable[[int, int], None] | None = None,
) -> AnswerReport:
    """Ask every question and measure the answers.

    Args:
        ask: answers a question, for example `WavRAG.ask`; its errors are passed on.
        questions: at least one.
        generator: name of the generator, for the report.
        paths: reasoning paths sampled for each question, for the report.
        judge: generator that judges the claims of the answers; None omits the figure `claims`.
        on_question: progress callback, called with the number of questions done and the total.

    Raises:
        GenerationError: the judge cannot be reached, or its reply contains no claims.
    """
    values: dict[str, list[float]] = {name: [] for name in FIGURES}
    for number, question in enumerate(questions):
        if on_question is not None:
            on_question(number, len(questions))
        started = time.perf_counter()
        answer = ask(question.question)
        seconds = time.perf_counter() - started
        # The judge runs outside the measured time, which is the generator's alone.
        scores = {**score(question, answer), "seconds": seconds}
        if judge is not None and (precision := judge_answer(answer, judge).precision) is not None:
            scores["claims"] = precision
        for name, value in scores.items():
            values[name].append(value)
    answerable = sum(question.answerable for question in questions)
    return AnswerReport(
        generator=generator,
        paths=paths,
        answerable=answerable,
        unanswerable=len(questions) - answerable,
        figures={
            name: Figure(mean(numbers), confidence_interval(numbers), len(numbers))
            for name, numbers in values.items()
            if numbers
        },
    )


def answers_to_dict(report: AnswerReport) -> dict[str, Any]:
    """Convert a report to its JSON form."""
    return {
        "generator": report.generator,
        "paths": report.paths,
        "answerable": report.answerable,
        "unanswerable": report.unanswerable,
        "wavrag": version("wavrag"),
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED},
        "figures": {
            name: {
                "mean": round(figure.mean, 4),
                "ci95": [round(end, 4) for end in figure.ci95],
                "questions": figure.questions,
            }
            for name, figure in report.figures.items()
        },
    }


def format_answers(report: AnswerReport) -> str:
    """Format a report as a text table: a line for each figure with its interval and meaning."""
    lines = [
        f"{report.generator}: {report.answerable:,} answerable questions,"
        f" {report.unanswerable:,} others"
    ]
    for name, figure in report.figures.items():
        low, high = figure.ci95
        lines.append(
            f"{name:<18}  {figure.mean:6.3f}  [{low:.3f} {high:.3f}]  {figure.questions:5,d}"
            f"  {FIGURES[name]}"
        )
    lines.append("In brackets: 95% bootstrap interval; then the number of questions of the figure.")
    return "\n".join(lines)


def _score_answer(question: GoldQuestion, answer: Answer) -> dict[str, float]:
    """Compute the metrics of an answerable question: correctness and citations."""
    values: dict[str, float] = {}
    text = CITATION_MARKS.sub("", answer.text) if answer.found else ""
    short = answer.short or text  # gold answers are short
    citations = answer.citations if answer.found else ()
    # Several citations may quote the same passage: it counts once.
    passages = list({citation.passage.id: citation.passage for citation in citations}.values())
    gold = question.answers
    if gold:
        values |= {
            # A gold answer such as "the" normalises to nothing, and would match an empty answer.
            "exact_match": exact_match(short, gold) * float(answer.found),
            "f1": token_f1(short, gold),
            "contains": float(contains(text, gold)),
        }
        if passages:
            values["citation_precision"] = mean([contains(p.text or "", gold) for p in passages])
    if question.passages:
        values["citation_recall"] = mean(
            [any(_is_document(p.document_id, id) for p in passages) for id in question.passages]
        )
    return values


def _f1(answer: Sequence[str], gold: Sequence[str]) -> float:
    overlap = (Counter(answer) & Counter(gold)).total()
    return 2 * overlap / (len(answer) + len(gold)) if overlap else 0.0


def _is_document(document_id: str, gold: str) -> bool:
    # Ids of files are absolute paths, and a file of questions must work on other machines. With the
    # slash, `ferry.md` does not match `night-ferry.md`.
    return document_id == gold or document_id.replace(os.sep, "/").endswith(f"/{gold}")


def _parse_question(line: str, where: str) -> GoldQuestion:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:  # deep nesting exceeds the recursion limit
        raise InputError(f"{where}: is not JSON ({error}): write one object per line") from error
    if not isinstance(fields, dict):
        raise InputError(f"{where}: is not a JSON object")
    for key in ("id", "question"):
        if not isinstance(fields.get(key), str) or not fields[key].strip():
            raise InputError(f"{where}: {key} is {fields.get(key)!r}: give a string")
    for key in ("answers", "passages"):
        value = fields.get(key, [])
        if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
            raise InputError(f"{where}: {key} is {value!r}: give a list of strings")
    answerable = fields.get("answerable", True)
    if not isinstance(answerable, bool):  # the string "false" would count as true
        raise InputError(f"{where}: answerable is {answerable!r}: give true or false")
    if answerable and not fields.get("answers") and not fields.get("passages"):
        raise InputError(
            f"{where}: has neither answers nor passages: add either, or set answerable to false"
        )
    answers, passages = (tuple(fields.get(key, ())) for key in ("answers", "passages"))
    return GoldQuestion(fields["id"], fields["question"], answers, passages, answerable)
