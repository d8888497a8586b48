"""Data sets of written questions: HotpotQA, Quora, ELI5 and TriviaQA.

Queries are text; a spoken query is made of them in another step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from wavrag.data.datasets.files import (
    drop_locations,
    find_file,
    get_field,
    get_list,
    get_text,
    group_adjacent,
    map_rows,
    read_json_items,
    read_json_lines,
    read_table,
    require_file,
)
from wavrag.data.records import Content, TrainingRecord
from wavrag.errors import InputError
from wavrag.types import NoteCallback

_PROSE = 20  # words from which a line of an evidence document is a paragraph and no heading


def read_hotpotqa(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """HotpotQA: positives are the supporting paragraphs, negatives the distractors.

    A paragraph is its title, a new line, its sentences.
    """
    name = {"train": "hotpot_train_v1.1.json", "dev": "hotpot_dev_distractor_v1.json"}[split]
    path = require_file(folder, name)
    return drop_locations(map_rows(read_json_items(path, "", on_note), parse_hotpotqa, on_note))


def parse_hotpotqa(row: Any) -> TrainingRecord:
    """The record of an object of HotpotQA."""
    supporting = {title for title, _ in get_list(row, "supporting_facts")}
    positives: list[Content] = []
    negatives: list[Content] = []
    for title, sentences in get_list(row, "context"):
        paragraph = Content(text=f"{title}\n{''.join(sentences).strip()}")
        (positives if title in supporting else negatives).append(paragraph)
    if len(positives) != len(supporting) or not positives:
        raise InputError("a supporting paragraph is not in the context")
    return TrainingRecord(
        f"hotpotqa/{get_text(row, '_id')}",
        Content(text=get_text(row, "question")),
        tuple(positives),
        tuple(negatives),
        "hotpotqa",
    )


def parse_hotpotqa_row(row: Any) -> TrainingRecord:
    """The record of a row as the `datasets` library has it, where lists stand in columns."""
    facts, context = get_field(row, "supporting_facts"), get_field(row, "context")
    columns = {
        "_id": get_field(row, "id"),
        "question": get_field(row, "question"),
        "supporting_facts": list(
            zip(get_field(facts, "title"), get_field(facts, "sent_id"), strict=True)
        ),
        "context": list(
            zip(get_field(context, "title"), get_field(context, "sentences"), strict=True)
        ),
    }
    return parse_hotpotqa(columns)


@dataclass(frozen=True, slots=True)
class _Pair:
    id: str
    asked: str
    question: str
    other: str
    duplicate: bool


def read_quora(folder: Path, split: str, on_note: NoteCallback | None) -> Iterator[TrainingRecord]:
    """Quora question pairs: a duplicate is a positive of the first question.

    Neighbouring pairs of one first question make one record, with those that are no duplicates as
    negatives. A question without a duplicate is left out.
    """
    path = require_file(folder, "quora_duplicate_questions.tsv")
    columns = ("id", "qid1", "question1", "question2", "is_duplicate")
    pairs = map_rows(read_table(path, on_note, columns, delimiter="\t"), _pair, on_note)
    asked = group_adjacent(pairs, lambda pair: pair.asked)
    return drop_locations(
        map_rows(asked, _duplicates, on_note, f"{path}: questions without a duplicate")
    )


def parse_quora_row(row: Any) -> TrainingRecord | None:
    """The record of a row as the `datasets` library has it; None if the two are no duplicates."""
    questions = get_field(row, "questions")
    (first, other), (one, two) = get_list(questions, "id"), get_list(questions, "text")
    pair = _Pair(f"{first}-{other}", str(first), one, two, bool(get_field(row, "is_duplicate")))
    return _duplicates([pair])


def _pair(row: dict[str, str]) -> _Pair:
    if row["is_duplicate"] not in ("0", "1"):
        raise InputError(f"is_duplicate is {row['is_duplicate']!r}, neither 0 nor 1")
    return _Pair(
        get_text(row, "id"),
        get_text(row, "qid1"),
        get_text(row, "question1"),
        get_text(row, "question2"),
        row["is_duplicate"] == "1",
    )


def _duplicates(pairs: list[_Pair]) -> TrainingRecord | None:
    positives = tuple(Content(text=pair.other) for pair in pairs if pair.duplicate)
    negatives = tuple(Content(text=pair.other) for pair in pairs if not pair.duplicate)
    if not positives:
        return None
    query = Content(text=pairs[0].question)
    return TrainingRecord(f"quora/{pairs[0].id}", query, positives, negatives, "quora")


def read_eli5(folder: Path, split: str, on_note: NoteCallback | None) -> Iterator[TrainingRecord]:
    """ELI5 as KILT publishes it: every answer is a positive."""
    path = require_file(folder, f"eli5-{split}-kilt.jsonl")
    answered = map_rows(
        read_json_lines(path, on_note), parse_eli5, on_note, f"{path}: questions without answer"
    )
    return drop_locations(answered)


def parse_eli5(row: Any) -> TrainingRecord | None:
    """The record of an object of KILT's ELI5; None if it has no answer."""
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


def read_triviaqa(
    folder: Path, split: str, on_note: NoteCallback | None
) -> Iterator[TrainingRecord]:
    """TriviaQA with its Wikipedia evidence.

    Of each evidence document, the first paragraph that has the answer or an alias of it is a
    positive and the first that has none is a negative; a line under 20 words is no paragraph. An
    entry is the document's title, a new line, the paragraph. Questions whose evidence has the
    answer in no paragraph are left out.
    """
    names = (f"wikipedia-{split}.json", f"unfiltered-web-{split}.json")
    path = require_file(folder, *(f"{place}{name}" for name in names for place in ("qa/", "")))
    make = partial(_trivia_record, evidence=folder / "evidence" / "wikipedia")
    left_out = f"{path}: questions without a paragraph that has the answer"
    return drop_locations(map_rows(read_json_items(path, "Data", on_note), make, on_note, left_out))


def parse_triviaqa_row(row: Any) -> TrainingRecord | None:
    """The record of a row as the `datasets` library has it, with the evidence in the row."""
    pages, answer = get_field(row, "entity_pages"), get_field(row, "answer")
    documents = list(zip(get_list(pages, "title"), get_list(pages, "wiki_context"), strict=True))
    answers = [get_field(answer, "value"), *get_list(answer, "aliases")]
    return _answered(get_text(row, "question_id"), get_text(row, "question"), answers, documents)


def _trivia_record(row: Any, evidence: Path) -> TrainingRecord | None:
    documents = []
    for page in row.get("EntityPages", []) if isinstance(row, dict) else []:
        name = get_text(page, "Filename")
        path = find_file(evidence, name)
        if path is None:
            raise InputError(f"no evidence file {evidence / name}")
        documents.append((get_text(page, "Title"), path.read_text(encoding="utf-8")))
    answer = get_field(row, "Answer")
    answers = [get_field(answer, "Value"), *answer.get("Aliases", [])]
    return _answered(get_text(row, "QuestionId"), get_text(row, "Question"), answers, documents)


def _answered(
    id: str, question: str, answers: list[Any], documents: list[tuple[str, str]]
) -> TrainingRecord | None:
    aliases = [f" {plain} " for plain in map(_plain, map(str, answers)) if plain]
    positives: list[Content] = []
    negatives: list[Content] = []
    for title, document in documents:
        paragraphs = [line for line in str(document).splitlines() if len(line.split()) >= _PROSE]
        held = [any(alias in f" {_plain(line)} " for alias in aliases) for line in paragraphs]
        for entries, holds in ((positives, True), (negatives, False)):
            if holds in held:
                paragraph = paragraphs[held.index(holds)].strip()
                entries.append(Content(text=f"{title}\n{paragraph}"))
    if not positives:
        return None
    query = Content(text=question)
    return TrainingRecord(f"triviaqa/{id}", query, tuple(positives), tuple(negatives), "triviaqa")


def _plain(words: str) -> str:
    return " ".join(re.findall(r"\w+", words.casefold()))
