"""Data sets of written questions: HotpotQA, Quora, ELI5 and TriviaQA.

Queries are text; `wavrag synth` speaks them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from wavrag.data.datasets.files import (
    find_file,
    get_field,
    get_list,
    get_text,
    read_json_items,
    read_json_lines,
    read_table,
    require_file,
)
from wavrag.data.records import Content, TrainingRecord
from wavrag.errors import InputError
from wavrag.types import OnNote

_PARAGRAPH_WORDS = 20  # shorter lines of an evidence document are headings and list items


def read_hotpotqa(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read HotpotQA: positives are the supporting paragraphs, negatives the distractors.

    A paragraph is its title, a line break and its sentences.
    """
    name = {"train": "hotpot_train_v1.1.json", "dev": "hotpot_dev_distractor_v1.json"}[split]
    path = require_file(folder, name)
    return read_json_items(path, on_note).map(parse_hotpotqa)


def parse_hotpotqa(row: Any) -> TrainingRecord:
    """Convert an object of the published file."""
    titles = {title for title, _ in get_list(row, "supporting_facts")}
    positives: list[Content] = []
    negatives: list[Content] = []
    for title, sentences in get_list(row, "context"):
        paragraph = Content(text=f"{title}\n{''.join(sentences).strip()}")
        (positives if title in titles else negatives).append(paragraph)
    if len(positives) != len(titles) or not positives:
        raise InputError("a supporting paragraph is not in the context")
    return TrainingRecord(
        f"hotpotqa/{get_text(row, '_id')}",
        Content(text=get_text(row, "question")),
        tuple(positives),
        tuple(negatives),
        "hotpotqa",
    )


def parse_hotpotqa_row(row: Any) -> TrainingRecord:
    """Convert a row of the `datasets` library, which has columns of lists."""
    facts, context = get_field(row, "supporting_facts"), get_field(row, "context")
    fact_columns = get_field(facts, "title"), get_field(facts, "sent_id")
    context_columns = get_field(context, "title"), get_field(context, "sentences")
    columns = {
        "_id": get_field(row, "id"),
        "question": get_field(row, "question"),
        "supporting_facts": list(zip(*fact_columns, strict=True)),
        "context": list(zip(*context_columns, strict=True)),
    }
    return parse_hotpotqa(columns)


@dataclass(frozen=True, slots=True)
class _Pair:
    id: str
    question_id: str
    question: str
    second_question: str
    duplicate: bool


def read_quora(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read Quora question pairs: a duplicate is a positive of the first question.

    Adjacent pairs with the same first question make one record; those without a duplicate are its
    negatives. Questions without any duplicate are skipped.
    """
    path = require_file(folder, "quora_duplicate_questions.tsv")
    columns = ("id", "qid1", "question1", "question2", "is_duplicate")
    pairs = read_table(path, on_note, columns, delimiter="\t").map(_parse_pair)
    groups = pairs.group(lambda pair: pair.question_id)
    return groups.map(_build_quora_record, f"{path}: questions without a duplicate")


def parse_quora_row(row: Any) -> TrainingRecord | None:
    """Convert a row of the `datasets` library; None if the questions are not duplicates."""
    questions = get_field(row, "questions")
    (first_id, second_id), (first, second) = get_list(questions, "id"), get_list(questions, "text")
    duplicate = bool(get_field(row, "is_duplicate"))
    pair = _Pair(f"{first_id}-{second_id}", str(first_id), first, second, duplicate)
    return _build_quora_record([pair])


def _parse_pair(row: dict[str, str]) -> _Pair:
    if row["is_duplicate"] not in ("0", "1"):
        raise InputError(f"is_duplicate is {row['is_duplicate']!r}, neither 0 nor 1")
    columns = ("id", "qid1", "question1", "question2")
    id, question_id, first, second = (get_text(row, column) for column in columns)
    return _Pair(id, question_id, first, second, row["is_duplicate"] == "1")


def _build_quora_record(pairs: list[_Pair]) -> TrainingRecord | None:
    positives = tuple(Content(text=pair.second_question) for pair in pairs if pair.duplicate)
    negatives = tuple(Content(text=pair.second_question) for pair in pairs if not pair.duplicate)
    if not positives:
        return None
    query = Content(text=pairs[0].question)
    return TrainingRecord(f"quora/{pairs[0].id}", query, positives, negatives, "quora")


def read_eli5(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read ELI5 in the format of KILT: every answer is a positive."""
    path = require_file(folder, f"eli5-{split}-kilt.jsonl")
    return read_json_lines(path, on_note).map(parse_eli5, f"{path}: questions without answer")


def parse_eli5(row: Any) -> TrainingRecord | None:
    """Convert an object of the published file; None if it has no answer."""
    outputs = [
        output
        for output in get_list(row, "output")
        if isinstance(output, dict) and output.get("answer")
    ]
    if not outputs:
        return None
    return TrainingRecord(
        f"eli5/{get_text(row, 'id')}",
        Content(text=get_text(row, "input")),
        tuple(Content(text=get_text(output, "answer")) for output in outputs),
        source="eli5",
    )


def read_triviaqa(folder: Path, split: str, on_note: OnNote) -> Iterable[TrainingRecord]:
    """Read TriviaQA with its Wikipedia evidence.

    In each evidence document, the first paragraph with the answer or one of its aliases is a
    positive, and the first paragraph without them is a negative. Both start with the title of the
    document and a line break. Questions without a positive are skipped.
    """
    names = (f"wikipedia-{split}.json", f"unfiltered-web-{split}.json")
    path = require_file(folder, *(f"{prefix}{name}" for name in names for prefix in ("qa/", "")))
    parse = partial(_parse_trivia_object, evidence=folder / "evidence" / "wikipedia")
    left_out = f"{path}: questions without a paragraph that has the answer"
    return read_json_items(path, on_note, "Data").map(parse, left_out)


def parse_triviaqa_row(row: Any) -> TrainingRecord | None:
    """Convert a row of the `datasets` library, which includes the evidence."""
    pages, answer = get_field(row, "entity_pages"), get_field(row, "answer")
    documents = list(zip(get_list(pages, "title"), get_list(pages, "wiki_context"), strict=True))
    answers = [get_field(answer, "value"), *get_list(answer, "aliases")]
    return _build_trivia_record(
        get_text(row, "question_id"), get_text(row, "question"), answers, documents
    )


def _parse_trivia_object(row: Any, evidence: Path) -> TrainingRecord | None:
    documents = []
    for page in row.get("EntityPages", []) if isinstance(row, dict) else []:
        name = get_text(page, "Filename")
        path = find_file(evidence, name)
        if path is None:
            raise InputError(f"no evidence file {evidence / name}")
        documents.append((get_text(page, "Title"), path.read_text(encoding="utf-8")))
    answer = get_field(row, "Answer")
    answers = [get_field(answer, "Value"), *answer.get("Aliases", [])]
    return _build_trivia_record(
        get_text(row, "QuestionId"), get_text(row, "Question"), answers, documents
    )


def _build_trivia_record(
    id: str, question: str, answers: list[Any], documents: list[tuple[str, str]]
) -> TrainingRecord | None:
    # With a space at either end, so that "art" is not found in "party".
    aliases = [f" {plain} " for plain in map(_normalize, map(str, answers)) if plain]
    positives: list[Content] = []
    negatives: list[Content] = []
    for title, document in documents:
        paragraphs = [
            line for line in str(document).splitlines() if len(line.split()) >= _PARAGRAPH_WORDS
        ]
        has_answer = [
            any(alias in f" {_normalize(line)} " for alias in aliases) for line in paragraphs
        ]
        for contents, answer_expected in ((positives, True), (negatives, False)):
            if answer_expected in has_answer:
                paragraph = paragraphs[has_answer.index(answer_expected)].strip()
                contents.append(Content(text=f"{title}\n{paragraph}"))
    if not positives:
        return None
    query = Content(text=question)
    return TrainingRecord(f"triviaqa/{id}", query, tuple(positives), tuple(negatives), "triviaqa")


def _normalize(words: str) -> str:
    return " ".join(re.findall(r"\w+", words.casefold()))
