"""Texts for synthetic training speech: questions and sentences with a wide vocabulary.

The data folder is described in docs/training-mini.md. Texts of evaluation sets are excluded, even
if they differ in case and punctuation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wavrag.data import read_rows
from wavrag.text import sentences
from wavrag.train.mini.letters import spell_text

MIN_WORDS, MAX_WORDS = 3, 26  # length of a text
_EVALUATION = (
    ("speech/librispeech.jsonl", "text"),
    ("speech/squad_eval_kokoro.jsonl", "text"),
    ("text/qed_eval.jsonl", "question"),
)
_TOKEN_GAPS = (
    (re.compile(r"\s+([.,?!;:)'%]|'s\b|n't\b)"), r"\1"),
    (re.compile(r"([($])\s+"), r"\1"),
    (re.compile(r"``\s*|\s*''"), '"'),
)


@dataclass(frozen=True, slots=True)
class SourceText:
    """A text for synthetic speech."""

    text: str  # a question or a sentence
    source: str  # name of its data set


def gather_texts(data: Path, seed: int) -> list[SourceText]:
    """Return the distinct training texts, in random order."""
    seen = {normalize_text(text) for text in read_evaluation_texts(data)}
    texts = []
    for text in _read_training_texts(data):
        key = normalize_text(text.text)
        if MIN_WORDS <= len(key.split()) <= MAX_WORDS and spell_text(text.text) and key not in seen:
            seen.add(key)
            texts.append(text)
    return [texts[at] for at in np.random.default_rng(seed).permutation(len(texts))]


def read_evaluation_texts(data: Path) -> Iterator[str]:
    """Yield the texts of the evaluation sets."""
    for name, field in _EVALUATION:
        for row in read_rows(data / name):
            yield row[field]
    for row in read_rows(data / "speech" / "speechocean762.jsonl"):
        if row["split"] == "test":
            yield row["text"]
    for row in read_rows(data / "text" / "squad_dev_eval.jsonl"):
        yield from row["questions"]
        yield from _sentences(row["context"])
    for path in sorted((data / "text").glob("spoken_test*.json")):
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                yield from (question["question"] for question in paragraph["qas"])


def _read_training_texts(data: Path) -> Iterator[SourceText]:
    for row in read_rows(data / "text" / "questions.jsonl"):
        yield SourceText(row["text"], row["source"])
    for row in read_rows(data / "text" / "squad_dev_train.jsonl"):
        for question in row["questions"]:
            yield SourceText(question, "squad-dev")
        for sentence in _sentences(row["context"]):
            yield SourceText(sentence, "squad-dev")
    for row in read_rows(data / "text" / "squad_train_pairs.jsonl"):
        yield SourceText(_join_tokens(row["question"]), "squad-train")
        yield SourceText(_join_tokens(row["passage"]), "squad-train")
    for row in read_rows(data / "text" / "wiki_passages.jsonl"):
        for sentence in _sentences(row["text"]):
            yield SourceText(sentence, "wikipedia")


def _sentences(text: str) -> Iterator[str]:
    for start, end in sentences(text):
        yield text[start:end]


def _join_tokens(tokens: str) -> str:
    for pattern, replacement in _TOKEN_GAPS:
        tokens = pattern.sub(replacement, tokens)
    return tokens


def normalize_text(text: str) -> str:
    """Return the words of a text in lower case, without punctuation."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))
