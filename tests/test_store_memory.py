"""The store in memory: the kit, and BM25 against figures worked out by hand."""

from __future__ import annotations

import math

import pytest

from wavrag.errors import StoreError
from wavrag.store import MemoryStore, vocabulary
from wavrag.store.lexical import query_words
from wavrag.store.memory import bm25
from wavrag.testing.store import StoreConformance
from wavrag.testing.store_data import DIM


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def open_store(self):
        return MemoryStore


def test_bm25_by_hand():
    # 3 texts of 2, 4 and 6 words, mean 4; "zebra" in 2 of them: idf = ln(1 + 1.5 / 2.5) = ln 1.6.
    # Length factor of the first: 1.2 * (.25 + .75 * 2 / 4) = .75; its one zebra scores 2.2 / 1.75.
    # Of the second: 1.2 * (.25 + .75) = 1.2; its two zebras score 2 * 2.2 / (2 + 1.2).
    scores = bm25("Zebra zebra", ["zebra one", "zebra Zebra two three", "a b c d e f"])
    idf = math.log(1.6)
    assert scores == pytest.approx([idf * 2.2 / 1.75, idf * 4.4 / 3.2, 0.0])


def test_bm25_of_nothing():
    assert bm25("zebra", []) == []
    assert bm25("zebra", ["", ""]) == [0.0, 0.0]
    assert bm25("", ["zebra"]) == [0.0]


@pytest.mark.parametrize(
    ("question", "left"),
    [
        ("What is the capital of France?", "capital France"),
        ("Who's Ada Lovelace's father?", "Ada Lovelace father"),
        ("What does IT do for the WHO?", "IT WHO"),
        ("Who are the Who?", "Who are the Who"),
        ("GPT-4 vs. C++", "GPT 4 vs C"),
        ("¿Dónde está Zürich?", "Dónde está Zürich"),
        ("", ""),
    ],
)
def test_query_words(question, left):
    words = query_words(question)
    assert "".join(c if c.isalnum() else " " for c in words).split() == left.split()


def test_closed():
    store = MemoryStore(DIM)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.count()


def test_the_vocabulary_keeps_the_most_frequent_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "BLOCK", 3)
    monkeypatch.setattr(vocabulary, "MAX_WORDS", 4)
    monkeypatch.setattr(vocabulary, "MAX_PAIRS", 2)
    texts = [f"the night ferry word{n}" for n in range(20)]
    counted = vocabulary.count_vocabulary(texts)
    words = dict(zip(counted.words, counted.counts.tolist(), strict=True))
    assert len(words) <= 8 + 3
    assert [words[word] for word in ("the", "night", "ferry")] == [20, 20, 20]
    pairs = [tuple(counted.words[code] for code in pair) for pair in counted.pairs]
    assert dict(zip(pairs, counted.pair_counts.tolist(), strict=True)) == {
        ("the", "night"): 20,
        ("night", "ferry"): 20,
    }
