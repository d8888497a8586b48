"""Answers to SQuAD questions as spans of the written paragraphs; not a program.

`text/squad_dev_*.jsonl` have paragraphs and questions. The answers are in
`text/spoken_test-v1.1.json` (Spoken-SQuAD), as spans of recognised text: they are mapped to the
written paragraph by aligning the words of both.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wavrag.data import read_rows

Span = tuple[int, int]

VALIDATION = 9
LONGER = 2  # words that a written answer may have more than the recognised one
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


@dataclass(frozen=True)
class AnsweredQuestion:
    """A question, its paragraph, and the characters of each annotated answer.

    Attributes:
        article: title of the article.
        paragraph: id of the paragraph.
        text: the written paragraph.
        spans: answers in the written paragraph, the first annotation first.
        spoken_text: the paragraph as recognised.
        spoken_span: the first answer in it.
    """

    question: str
    article: str
    paragraph: str
    text: str
    spans: Sequence[Span]
    spoken_text: str
    spoken_span: Span

    @property
    def answers(self) -> list[str]:
        """The answers as text."""
        return [self.text[start:end] for start, end in self.spans]


class Alignment:
    """Words of a recognised text, aligned with those of the written text."""

    def __init__(self, recognised: str, written: str) -> None:
        self._recognised = [match.span() for match in _WORD.finditer(recognised)]
        self._written = [match.span() for match in _WORD.finditer(written)]
        words = [
            [match.group().lower() for match in _WORD.finditer(text)]
            for text in (recognised, written)
        ]
        matcher = difflib.SequenceMatcher(None, *words, autojunk=False)
        self._pairs = {
            a + offset: b + offset
            for a, b, size in matcher.get_matching_blocks()
            for offset in range(size)
        }

    def map_span(self, start: int, end: int) -> Span | None:
        """Map characters of the recognised text; None if their words have no counterpart.

        An unmatched word at an end, such as a number in letters, takes the place between the
        matched words around it.
        """
        words = [at for at, (a, b) in enumerate(self._recognised) if b > start and a < end]
        if not words:
            return None
        first, last = words[0], words[-1]
        begin = self._pairs.get(first, self._pairs.get(first - 1, -1 if first == 0 else None))
        begin = begin + 1 if begin is not None and first not in self._pairs else begin
        final = len(self._recognised) - 1
        stop = self._pairs.get(
            last, self._pairs.get(last + 1, len(self._written) if last == final else None)
        )
        stop = stop - 1 if stop is not None and last not in self._pairs else stop
        if begin is None or stop is None or not begin <= stop <= begin + len(words) + LONGER - 1:
            return None
        return self._written[begin][0], self._written[stop][1]


def read_answered_questions(
    data: Path, paragraphs: Sequence[Mapping[str, object]]
) -> Iterator[AnsweredQuestion]:
    """Yield the questions of paragraphs with an answer that is found in the written text.

    Args:
        data: the data folder.
        paragraphs: lines of `text/squad_dev_train.jsonl` or `text/squad_dev_eval.jsonl`.
    """
    rows: dict[tuple[str, str], list[Mapping[str, object]]] = {}
    for row in paragraphs:
        for question in row["questions"]:  # type: ignore[attr-defined]
            rows.setdefault((str(row["title"]), question), []).append(row)
    path = data / "text" / "spoken_test-v1.1.json"
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            alignments: dict[str, Alignment] = {}
            for item in paragraph["qas"]:
                matches = rows.get((article["title"], item["question"]), [])
                if len(matches) != 1:  # of two paragraphs, one would get the other's answer
                    continue
                id, text = str(matches[0]["id"]), str(matches[0]["context"])
                if id not in alignments:
                    alignments[id] = Alignment(paragraph["context"], text)
                recognised = [
                    (answer["answer_start"], answer["answer_start"] + len(answer["text"]))
                    for answer in item["answers"]
                ]
                spans = [alignments[id].map_span(*span) for span in recognised]
                if known := [span for span in spans if span is not None]:
                    yield AnsweredQuestion(
                        item["question"], article["title"], id, text, known,
                        paragraph["context"], recognised[0],
                    )  # fmt: skip


def validation_articles(paragraphs: Sequence[Mapping[str, object]]) -> set[str]:
    """Every ninth training article: settings are chosen on it, the span reader never sees it."""
    return set(sorted({str(row["title"]) for row in paragraphs})[::VALIDATION])


def read_paragraphs(data: Path, part: str) -> list[Mapping[str, object]]:
    """Read the paragraphs of `train` or `eval`."""
    return list(read_rows(data / "text" / f"squad_dev_{part}.jsonl"))
