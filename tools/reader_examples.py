"""Training examples of the span reader, from the training part of the data folder; no program.

- Questions of `text/squad_dev_train.jsonl` with annotated answers (`benchmarks/squad_answers.py`)
  over the written paragraph, and a third of them over the recognised one.
- A third of them over another paragraph of the article that shares words with them: no answer.

The articles of `text/squad_dev_eval.jsonl` and the questions of `text/qed_eval.jsonl` are never
trained on, and every ninth training article is kept for validation.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wavrag.generate import content_words

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from squad_answers import (
    AnsweredQuestion,
    Span,
    read_answered_questions,
    read_paragraphs,
    validation_articles,
)

SPOKEN, UNANSWERABLE, TITLED, UNMARKED = 0.35, 0.35, 0.5, 0.3  # shares of the examples
CLOSEST = 6  # paragraphs of the article, by shared words, to draw one without the answer from


@dataclass(frozen=True)
class ReaderExample:
    """A question and a passage, with the characters of the answer; None if it has none."""

    question: str
    text: str
    span: Span | None = None
    title: str = ""
    answers: Sequence[str] = ()  # all annotated answers, for validation


class ReaderData:
    """The examples, with fixed random draws."""

    def __init__(self, data: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._paragraphs = read_paragraphs(data, "train")
        self._questions = list(read_answered_questions(data, self._paragraphs))
        self._validation = validation_articles(self._paragraphs)
        self._held_out = list(read_answered_questions(data, read_paragraphs(data, "eval")))

    def held_out(self) -> list[ReaderExample]:
        """Annotated questions of the evaluation articles."""
        return [self._annotated(item) for item in self._held_out]

    def validation(self) -> list[ReaderExample]:
        """Annotated questions of the training articles that are kept for validation."""
        return [self._annotated(q) for q in self._questions if q.article in self._validation]

    def training(self) -> Iterator[ReaderExample]:
        """Yield the examples with an answer, and those without."""
        for item in self._questions:
            if item.article in self._validation:
                continue
            yield self._annotated(item)
            if self._random.random() < SPOKEN:
                question = self._unmark(item.question)
                yield ReaderExample(question, item.spoken_text, item.spoken_span)
            if self._random.random() < UNANSWERABLE and (other := self._find_other(item)):
                question = self._unmark(item.question)
                yield ReaderExample(question, other, None, self._title(item.article))

    def _annotated(self, item: AnsweredQuestion) -> ReaderExample:
        title = self._title(item.article)
        return ReaderExample(item.question, item.text, item.spans[0], title, item.answers)

    def _title(self, article: str) -> str:
        return article.replace("_", " ") if self._random.random() < TITLED else ""

    def _unmark(self, question: str) -> str:
        """Drop the question mark of some questions: recognised ones often have none."""
        return question.rstrip("? ") if self._random.random() < UNMARKED else question

    def _find_other(self, item: AnsweredQuestion) -> str | None:
        words = set(content_words(item.question))

        def shared(row: Mapping[str, object]) -> int:
            return len(words & set(content_words(str(row["context"]))))

        others = [
            row
            for row in self._paragraphs
            if row["title"] == item.article and row["id"] != item.paragraph
        ]
        closest = sorted(others, key=lambda row: -shared(row))[:CLOSEST]
        return str(self._random.choice(closest)["context"]) if closest else None
