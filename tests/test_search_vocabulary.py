"""The word index: distances against a slow twin, rankings worked out by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest

from wavrag.corrections import apply_corrections, lexical_query
from wavrag.search import WordIndex
from wavrag.search.vocabulary import MAX_LETTERS, edit_distances, fold
from wavrag.types import Correction, Vocabulary, WeightedWord


def vocabulary(counts: dict[str, int], pairs: dict[str, int] | None = None) -> Vocabulary:
    words = tuple(counts)
    places = sorted(
        (*(words.index(word) for word in pair.split()), count)
        for pair, count in (pairs or {}).items()
    )
    table = np.array(places, np.int64).reshape(-1, 3)
    return Vocabulary(words, np.array(list(counts.values()), np.int64), table[:, :2], table[:, 2])


def unknown(word: str) -> bool:
    return False


def corrections(index: WordIndex, text: str) -> dict[str, list[str]]:
    return {c.word: [a.text for a in c.alternatives] for c in index.correct(text, unknown)}


def slow_distance(a: str, b: str) -> int:
    """Optimal string alignment by the table of all prefixes."""
    table = np.zeros((len(a) + 1, len(b) + 1), np.int64)
    table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i, j] = min(
                table[i - 1, j] + 1,
                table[i, j - 1] + 1,
                table[i - 1, j - 1] + (a[i - 1] != b[j - 1]),
            )
            if i > 1 and j > 1 and a[i - 2 : i] == b[j - 2 : j][::-1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return int(table[-1, -1])


def random_words(count: int, alphabet: str) -> list[str]:
    chance = random.Random(0)
    return ["".join(chance.choices(alphabet, k=chance.randint(4, 12))) for _ in range(count)]


def test_distances_equal_those_of_a_slow_twin():
    words = [*random_words(200, "abc"), "a" * MAX_LETTERS, "ab" * (MAX_LETTERS // 2)]
    letters = np.zeros((MAX_LETTERS, len(words)), np.uint16)
    for column, word in enumerate(words):
        letters[: len(word), column] = [ord(letter) for letter in word]
    for word in (*words[:20], *words[-2:]):
        assert edit_distances(word, letters).tolist() == [slow_distance(word, w) for w in words]


@pytest.mark.parametrize("alphabet", ["abcd", "жзик", "αβγδ"])
def test_near_words_equal_a_plain_loop(alphabet):
    words = list(dict.fromkeys(random_words(400, alphabet)))
    index = WordIndex(vocabulary(dict.fromkeys(words, 1)))
    for word in words[:40]:
        limit = 2 if len(word) >= 8 else 1
        near = {
            at: distance
            for at, other in enumerate(words)
            if (distance := slow_distance(word, other)) <= limit
        }
        indices, distances = index.near_words(word)
        assert dict(zip(indices.tolist(), distances.tolist(), strict=True)) == near


def test_each_kind_of_slip_is_corrected():
    index = WordIndex(vocabulary({"lighthouse": 3, "ferry": 9, "zürich": 2, "москва": 1}))
    slips = {
        "lighthuose": "lighthouse", "Ligthhouze": "lighthouse", "lghthouse": "lighthouse",
        "Fery": "ferry", "ferrry": "ferry", "zurcih": "zürich", "ZÜRIHC": "zürich",
        "моксва": "москва",
    }  # fmt: skip
    for slip, word in slips.items():
        assert corrections(index, f"where is {slip}?") == {slip: [word]}


def test_words_that_are_left_alone():
    index = WordIndex(vocabulary({"ferry": 9, "1969": 2, "cat": 1, "whale": 5}))
    # Listed words, short words, numbers, function words, and words of another spelling.
    assert corrections(index, "FERRY act 1968 cta while ferry2 umbrella 日本語") == {}
    assert index.correct("ferrys", lambda word: word == "ferrys") == []
    assert corrections(WordIndex(vocabulary({})), "lighthuose") == {}
    assert corrections(index, "") == {}


def test_frequency_and_neighbours_rank_the_alternatives():
    counts = {"house": 90, "horse": 9, "mouse": 2, "race": 5, "the": 99}
    index = WordIndex(vocabulary(counts, {"horse race": 40, "the mouse": 99}))
    assert corrections(index, "houze") == {"houze": ["house"]}
    assert corrections(index, "hosse") == {"hosse": ["house", "horse"]}
    assert corrections(index, "a hosse race") == {"hosse": ["horse", "house"]}
    # Weights by hand: .4 ln 90 - .4 ln 9 = .4 ln 10, so the odds are 10^.4 = 2.512.
    (correction,) = index.correct("hosse", unknown)
    assert [a.weight for a in correction.alternatives] == pytest.approx([0.7153, 0.2847], abs=1e-4)


def test_corrected_texts():
    name = Correction("Lighthuose", (WeightedWord("lighthouse", 1.0),))
    noun = Correction("hosse", (WeightedWord("house", 0.7), WeightedWord("horse", 0.3)))
    text = "Is Lighthuose a hosse? Not Lighthuoses."
    corrected = "Is Lighthouse a house? Not Lighthuoses."
    assert apply_corrections(text, [name, noun]) == corrected
    query = lexical_query(text, [name, noun])
    assert query.text.split() == ["Is", "a", "?", "Not", "Lighthuoses."]
    assert query.alternatives == (*name.alternatives, *noun.alternatives)
    joined = Correction("plastic globuli's", (WeightedWord("plastoglobuli", 0.9),))
    part = Correction("plastic", (WeightedWord("drastic", 0.9),))
    text = "are Plastic plastic globuli's round?"
    assert apply_corrections(text, [part, joined]) == "are Plastic plastoglobuli round?"
    assert lexical_query("round?", [joined]).text == "round?"
    shouted = Correction("LIGHTHUOSE", name.alternatives)
    assert apply_corrections("LIGHTHUOSE", [shouted]) == "LIGHTHOUSE"


def test_fold():
    assert [fold(word) for word in ("Zürich", "FERRY", "Möngke")] == ["zurich", "ferry", "mongke"]
