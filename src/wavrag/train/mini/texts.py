"""Texts to be spoken for training: questions and sentences of wide vocabulary.

Reads the data folder that docs/training-mini.md describes. A text of an evaluation set is never
among them, nor is one that differs from such a text in case and punctuation only.
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

FEWEST, MOST = 3, 26  # words of a text
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
class Text:
    """A text to be spoken.

    Attributes:
        text: a question or a sentence.
        source: where it is from.
    """

    text: str
    source: str


def gather(data: Path, seed: int) -> list[Text]:
    """Every text for training, each once, in an order that the seed settles.

    Raises:
        InputError: a file of the data folder is missing.
    """
    seen = {_key(text) for text in held_back(data)}
    kept = []
    for text in _training(data):
        key = _key(text.text)
        if FEWEST <= len(key.split()) <= MOST and spell_text(text.text) and key not in seen:
            seen.add(key)
            kept.append(text)
    return [kept[at] for at in np.random.default_rng(seed).permutation(len(kept))]


def held_back(data: Path) -> Iterator[str]:
    """The texts of the evaluation sets."""
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


def _training(data: Path) -> Iterator[Text]:
    for row in read_rows(data / "text" / "questions.jsonl"):
        yield Text(row["text"], row["source"])
    for row in read_rows(data / "text" / "squad_dev_train.jsonl"):
        for question in row["questions"]:
            yield Text(question, "squad-dev")
        for sentence in _sentences(row["context"]):
            yield Text(sentence, "squad-dev")
    for row in read_rows(data / "text" / "squad_train_pairs.jsonl"):
        yield Text(_joined(row["question"]), "squad-train")
        yield Text(_joined(row["passage"]), "squad-train")
    for row in read_rows(data / "text" / "wiki_passages.jsonl"):
        for sentence in _sentences(row["text"]):
            yield Text(sentence, "wikipedia")


def _sentences(text: str) -> Iterator[str]:
    for start, end in sentences(text):
        yield text[start:end]


def _joined(tokens: str) -> str:
    for pattern, joined in _TOKEN_GAPS:
        tokens = pattern.sub(joined, tokens)
    return tokens


def _key(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))
