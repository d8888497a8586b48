"""Answers through the product: are they right, do they cite what says so, do they know when not.

Questions are lines of JSON: `id`, `question`, `answers` (each of them right), `passages` (documents
that hold one) and `answerable`, true if left out.
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
from wavrag.evaluate.claims import judge_answer
from wavrag.evaluate.metrics import RESAMPLES, SEED, confidence_intervals, mean
from wavrag.generate import Generator
from wavrag.types import Answer

MARKS = re.compile(r"\s*\[\d+\]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class GoldQuestion:
    """A question and what is known of its answer.

    Attributes:
        id: unique in its file.
        question: in words.
        answers: each of them right; empty where it cannot be answered.
        passages: ids of documents that hold an answer; the end of a path stands for the file.
        answerable: whether the knowledge base holds an answer.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    answerable: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over the questions that it applies to.

    Attributes:
        mean: of the values.
        ci95: ends of its bootstrap interval.
        questions: how many it is the mean of.
    """

    mean: float
    ci95: tuple[float, float]
    questions: int


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """How one generator answered.

    Attributes:
        generator: its name.
        paths: reasoning paths that were asked for.
        answerable: questions that the knowledge base answers.
        unanswerable: questions that it does not.
        figures: by name, in the order in which they are shown; without those that apply to none.
    """

    generator: str
    paths: int
    answerable: int
    unanswerable: int
    figures: Mapping[str, Figure]


def load_questions(path: str | os.PathLike[str], limit: int | None = None) -> list[GoldQuestion]:
    """Read and check a file of questions.

    Args:
        path: JSON lines.
        limit: only the first so many.

    Raises:
        InputError: it cannot be read, or a line is malformed; the message names the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}): name a file of JSON lines") from error
    questions: dict[str, GoldQuestion] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if limit is not None and len(questions) >= limit:
            break
        question = _question(line, f"{path}, line {number}")
        if question.id in questions:
            raise InputError(f"{path}, line {number}: id {question.id!r} was given before")
        questions[question.id] = question
    if not questions:
        raise InputError(f"{path}: holds no question: give it at least one line")
    return list(questions.values())


def normalise(text: str) -> str:
    """Lower case without punctuation, articles and extra white space.

    As the evaluation script of SQuAD (Rajpurkar et al., arXiv 1606.05250) does.
    """
    words = _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(words.split())


def exact_match(answer: str, gold: Sequence[str]) -> float:
    """1 if the normalised answer is one of the normalised gold answers, else 0."""
    return float(normalise(answer) in {normalise(one) for one in gold})


def token_f1(answer: str, gold: Sequence[str]) -> float:
    """Best harmonic mean of precision and recall of the answer's words, over the gold answers."""
    return max((_f1(normalise(answer).split(), normalise(one).split()) for one in gold), default=0)


def contains(text: str, gold: Sequence[str]) -> bool:
    """Whether a text holds one of the gold answers, in whole words after normalisation."""
    padded = f" {normalise(text)} "
    return any(f" {words} " in padded for one in gold if (words := normalise(one)))


def score(question: GoldQuestion, answer: Answer) -> dict[str, float]:
    """The values of one question, without those that do not apply to it.

    Right answers and cited passages are looked for where the question is answerable; a question
    that was not answered has `exact_match`, `f1`, `contains` and `citation_recall` 0. Precision
    applies where passages were cited, `supported` where a sentence of an answer could be checked.
    """
    answered = float(answer.found)
    values = {
        "abstention": float(answer.found == question.answerable),
        "answered" if question.answerable else "silent": (
            answered if question.answerable else 1 - answered
        ),
        "invented": float(answer.invented_citations),
    }
    if answer.found and (checked := [one for one in answer.support if one.checkable]):
        values["supported"] = mean([float(one.supported) for one in checked])
    if not question.answerable:
        return values
    text = MARKS.sub("", answer.text) if answer.found else ""
    cited = {one.passage.id: one.passage for one in answer.citations if answer.found}
    if question.answers:
        values |= {
            "exact_match": exact_match(text, question.answers) * answered,
            "f1": token_f1(text, question.answers) * answered,
            "contains": float(contains(text, question.answers)),
        }
        if cited:
            holding = [contains(p.text or "", question.answers) for p in cited.values()]
            values["citation_precision"] = mean([float(holds) for holds in holding])
    if question.passages:
        found = [
            any(_is_document(passage.document_id, gold) for passage in cited.values())
            for gold in question.passages
        ]
        values["citation_recall"] = mean([float(one) for one in found])
    return values


FIGURES: Mapping[str, str] = {
    "exact_match": "answer is a gold answer, normalised",
    "f1": "harmonic mean of precision and recall of its words",
    "contains": "answer holds a gold answer",
    "citation_precision": "cited passages that hold a gold answer",
    "citation_recall": "gold documents that were cited",
    "supported": "sentences that the passages they cite support",
    "claims": "claims that the cited passages support, as the judge says",
    "answered": "answerable questions that were answered",
    "silent": "unanswerable questions that were not",
    "abstention": "questions of both kinds treated rightly",
    "invented": "citation marks that named no source, a question",
    "seconds": "from question to answer",
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
        ask: answers a question in words, such as `WavRAG.ask`; its errors are passed on.
        questions: at least one.
        generator: name of what answers, for the report.
        paths: reasoning paths that it samples, for the report.
        judge: what judges the claims of answers (`wavrag.evaluate.claims`); None leaves them out.
        on_question: told how many of how many were asked.

    Raises:
        GenerationError: the judge cannot be reached, or cannot judge.
    """
    values: dict[str, list[float]] = {name: [] for name in FIGURES}
    for number, question in enumerate(questions):
        if on_question is not None:
            on_question(number, len(questions))
        started = time.perf_counter()
        answer = ask(question.question)
        seconds = time.perf_counter() - started
        scored = {**score(question, answer), "seconds": seconds}
        if judge is not None and (precision := judge_answer(answer, judge).precision) is not None:
            scored["claims"] = precision
        for name, value in scored.items():
            values[name].append(value)
    answerable = sum(question.answerable for question in questions)
    return AnswerReport(
        generator=generator,
        paths=paths,
        answerable=answerable,
        unanswerable=len(questions) - answerable,
        figures={name: _figure(found) for name, found in values.items() if found},
    )


def answers_dict(report: AnswerReport) -> dict[str, Any]:
    """The shape of a report in JSON."""
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


def answers_table(report: AnswerReport) -> str:
    """A line for each figure: its mean, its interval and what it is."""
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
    lines.append("In brackets 95% bootstrap intervals, then the questions that the figure is of.")
    return "\n".join(lines)


def _figure(values: Sequence[float]) -> Figure:
    return Figure(mean(values), confidence_intervals({"": values})[""], len(values))


def _f1(answer: Sequence[str], gold: Sequence[str]) -> float:
    shared = (Counter(answer) & Counter(gold)).total()
    return 2 * shared / (len(answer) + len(gold)) if shared else 0.0


def _is_document(document_id: str, gold: str) -> bool:
    return document_id == gold or document_id.replace(os.sep, "/").endswith(f"/{gold}")


def _question(line: str, where: str) -> GoldQuestion:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is not JSON ({error}): write one object a line") from error
    if not isinstance(fields, dict):
        raise InputError(f"{where}: is no object")
    for key in ("id", "question"):
        if not isinstance(fields.get(key), str) or not fields[key].strip():
            raise InputError(f"{where}: {key} is {fields.get(key)!r}: give a string")
    for key in ("answers", "passages"):
        value = fields.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise InputError(f"{where}: {key} is {value!r}: give a list of strings")
    answerable = fields.get("answerable", True)
    if not isinstance(answerable, bool):
        raise InputError(f"{where}: answerable is {answerable!r}: give true or false")
    if answerable and not fields.get("answers") and not fields.get("passages"):
        raise InputError(
            f"{where}: has neither answers nor passages: give one, or answerable false"
        )
    return GoldQuestion(
        fields["id"],
        fields["question"],
        tuple(fields.get("answers", [])),
        tuple(fields.get("passages", [])),
        answerable,
    )
