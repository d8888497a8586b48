from itertools import product
from pathlib import Path

import numpy as np
import pytest

from letter_posteriors import posteriors
from wavrag.embed.ctc import (
    LETTER_INDEX,
    LETTERS,
    align_words,
    greedy_letters,
    likelihoods,
    word_spans,
)
from wavrag.embed.lexicon import MAX_CANDIDATES, Lexicon, WordList
from wavrag.train.mini import letters
from wavrag.types import Float32


def lexicon(**counts: int) -> Lexicon:
    total = sum(counts.values())
    logs = np.log(np.array(list(counts.values())) / total).astype(np.float32)
    return Lexicon(list(counts), logs)


def test_training_and_product_know_the_same_letters() -> None:
    assert (letters.LETTERS, letters.LETTER_INDEX) == (LETTERS, LETTER_INDEX)


def test_words_with_their_frames() -> None:
    found = word_spans(posteriors("__a_nn_n_ bb_  c"))
    assert [(span.letters, span.start, span.end) for span in found] == [
        ("ann", 2, 8), ("b", 10, 12), ("c", 15, 16),
    ]  # fmt: skip
    assert found[0].probability == pytest.approx(0.9, abs=0.01)
    assert word_spans(posteriors("____")) == []
    assert word_spans(posteriors("")) == []


def brute(log_posteriors: Float32, word: str) -> float:
    """The sum over every path that collapses to the word; the space counts as a blank."""
    frames = np.exp(log_posteriors.astype(np.float64))
    blank = np.maximum(frames[:, 0], frames[:, 1])
    symbols = [0, *(LETTER_INDEX[letter] for letter in sorted(set(word)))]
    total = 0.0
    for path in product(symbols, repeat=len(frames)):
        if letters.collapse_classes(path) == word:
            total += float(
                np.prod([blank[at] if s == 0 else frames[at, s] for at, s in enumerate(path)])
            )
    return float(np.log(total))


def test_likelihood_is_the_sum_over_paths() -> None:
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(len(LETTERS) + 1), 6)
    logs = np.log(table).astype(np.float32)
    words = ["ab", "aa", "b", "aba"]
    assert likelihoods(logs, words) == pytest.approx(
        [brute(logs, word) for word in words], abs=1e-3
    )


def test_likelihood_of_many_frames_neither_vanishes_nor_overflows() -> None:
    frames = posteriors("a___" * 200 + "b", 0.99)
    likely, unlikely = likelihoods(frames, ["a" * 30, "b" * 30])
    assert np.isfinite([likely, unlikely]).all()
    assert likely > unlikely
    sure = likelihoods(posteriors("_a" + "_" * 500, 0.999), ["a", "b"])
    assert sure[0] == pytest.approx(502 * np.log(0.999), abs=0.1)
    assert sure[1] < sure[0] - 5


def test_an_unknown_spelling_becomes_the_word_that_sounds_so() -> None:
    known = lexicon(pirates=50, private=500, pirate=80, of=900)
    assert known.words(posteriors("p_y_r_a_t_e_s", other={2: "i"})) == ["pirates"]


def test_a_word_that_is_listed_stays() -> None:
    known = lexicon(cat=1, car=10_000)
    assert known.words(posteriors("c_a_t")) == ["cat"]


def test_a_name_like_nothing_listed_stays_as_spelled() -> None:
    known = lexicon(house=5, tree=5)
    assert known.words(posteriors("l_o_t_h_a_r_i_o")) == ["lothario"]


def test_the_list_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("of 900\npirates 50\n")
    read = Lexicon.read(tmp_path / "words.txt")
    assert read.words(posteriors("o_f p_i_r_a_t_s")) == ["of", "pirates"]


def test_letters_of_frames_without_spaces() -> None:
    assert greedy_letters(posteriors("a_aa b__c")) == "aabc"
    assert greedy_letters(posteriors("___")) == ""


def test_a_transcript_is_aligned_with_its_frames() -> None:
    frames = posteriors("__t_h_e_  cc_a_t__  s_a_t_")
    assert align_words(frames, ["the", "cat", "sat"]) == [(2, 7), (10, 16), (20, 25)]
    # Letters that are not in the sound still get frames, and the others keep theirs.
    first, second, third = align_words(frames, ["the", "cast", "sat"]) or []
    assert (first, third) == ((2, 7), (20, 25))
    assert 9 <= second[0] <= 11
    assert 14 <= second[1] <= 20


def test_a_transcript_longer_than_its_frames_cannot_be_aligned() -> None:
    assert align_words(posteriors("ab"), ["abc"]) is None
    assert align_words(posteriors("aa"), ["aa"]) is None  # a blank has to separate the letters
    assert align_words(posteriors("a_a"), ["aa"]) == [(0, 3)]


def test_similar_words_share_most_letters() -> None:
    words = ["cat", "cats", "act", "dog", "catalogue", "c4t", "xylophone"]
    listed = WordList(words, np.zeros(len(words), np.float32))
    assert {listed.words[at] for at in listed.find_similar("cat")} == {"cat", "cats", "act", "c4t"}
    assert not len(listed.find_similar("x" * 60))
    assert not len(WordList([], np.zeros(0, np.float32)).find_similar("cat"))
    many = [f"a{number}" for number in range(1000)]
    logs = np.linspace(0, -9, 1000).astype(np.float32)
    assert len(WordList(many, logs).find_similar("a99")) == MAX_CANDIDATES
