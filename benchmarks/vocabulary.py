"""Time to correct a question, typed or spoken, and to count the words of a store.

    python benchmarks/vocabulary.py [--words N] [--passages N] [--seed N]

Corrects a question of 10 misspelled words with a vocabulary of pronounceable random words, by the
word index and by a plain loop over all words, and checks that both find the same words. Corrects
a transcript of 10 misheard words with random letter probabilities. Then counts the words of
passages of 70 words each, writes the side file and reads it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wavrag.embed import BLANK, LETTER_INDEX, LETTERS, SpeechCorrector
from wavrag.search.vocabulary import TWO_SLIPS_LETTERS, WordIndex
from wavrag.store.vocabulary import (
    VocabularyCount,
    count_vocabulary,
    load_vocabulary,
    save_vocabulary,
)
from wavrag.types import Vocabulary

QUESTION_WORDS = 10
PASSAGE_WORDS = 70
REPEATS = 30
ONSETS = "b c ch d f g h j k l m n p qu r s sh st t tr v w z".split()
NUCLEI = "a e i o u ai ea ou".split()
CODAS = ["", "", "n", "r", "s", "t", "l", "nd", "st"]


def main() -> int:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--words", type=int, default=200_000)
    parser.add_argument("--passages", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    words = random_words(arguments.words, chance)
    lookup(words, chance)
    for count in arguments.passages:
        counting(words, count, chance)
    return 0


def random_words(count: int, chance: random.Random) -> list[str]:
    """Distinct words of two to four syllables."""
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = [
            chance.choice(ONSETS) + chance.choice(NUCLEI) + chance.choice(CODAS)
            for _ in range(chance.choice((2, 3, 3, 4)))
        ]
        words["".join(syllables)] = None
    return list(words)


def lookup(words: list[str], chance: random.Random) -> None:
    """Time a question with ten misspelled words."""
    question = []
    while len(question) < QUESTION_WORDS:
        word = chance.choice(words)
        at = chance.randrange(len(word) - 1)
        slip = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if len(slip) > 4 and slip != word:
            question.append(slip)
    empty = np.zeros((0, 2), np.int64)
    vocabulary = Vocabulary(tuple(words), np.ones(len(words), np.int64), empty, empty[:, 0])
    index = WordIndex(vocabulary)
    build = seconds(lambda: index.near_words(question[0]))  # the first call builds the table
    text = " ".join(question)
    index_time = statistics.median(
        seconds(lambda: index.correct(text, lambda word: False)) for _ in range(REPEATS)
    )
    start = time.perf_counter()
    expected = [plain_loop(word, words) for word in question]
    loop_time = time.perf_counter() - start
    assert [sorted(index.near_words(word)[0].tolist()) for word in question] == expected
    print(f"{len(words):,} words, a question of {QUESTION_WORDS} misspelled words:")
    print(f"  word index {1e3 * index_time:.1f} ms (built once in {1e3 * build:.0f} ms)")
    print(f"  plain loop {1e3 * loop_time:,.0f} ms")
    hear(vocabulary, chance.sample(words, QUESTION_WORDS), question, np.random.default_rng(0))


def hear(
    vocabulary: Vocabulary, spoken: list[str], transcript: list[str], rng: np.random.Generator
) -> None:
    """Time a transcript of ten wrong words, 3 frames a letter of the words that were spoken."""
    frames = []
    for letter in " ".join(spoken):
        frames += [LETTER_INDEX[letter], LETTER_INDEX[letter], BLANK]
    scores = rng.normal(size=(len(frames), len(LETTERS) + 1))
    scores[np.arange(len(frames)), frames] += 6.0
    posteriors = (scores - np.log(np.exp(scores).sum(1, keepdims=True))).astype(np.float32)
    corrector = SpeechCorrector(vocabulary)
    text = " ".join(transcript)
    start = time.perf_counter()
    corrections = corrector.correct(text, posteriors)  # the first call builds the index
    build = time.perf_counter() - start
    spent = statistics.median(
        seconds(lambda: corrector.correct(text, posteriors)) for _ in range(REPEATS)
    )
    print(f"{len(vocabulary.words):,} words, a spoken question of {len(transcript)} unknown words:")
    print(
        f"  {1e3 * spent:.1f} ms for {len(corrections)} corrections"
        f" (index built once in {1e3 * build:.0f} ms)"
    )


def plain_loop(word: str, words: list[str]) -> list[int]:
    """Indices of the near words, by the distance to each word of a similar length."""
    limit = 2 if len(word) >= TWO_SLIPS_LETTERS else 1
    return [
        at
        for at, other in enumerate(words)
        if len(other) >= 4
        and abs(len(other) - len(word)) <= limit
        and distance(word, other) <= limit
    ]


def distance(a: str, b: str) -> int:
    """Optimal string alignment, row by row."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        older, before, row = before, row, [i]
        for j, y in enumerate(b, start=1):
            value = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                value = min(value, older[j - 2] + 1)
            row.append(value)
    return row[-1]


def counting(words: list[str], passages: int, chance: random.Random) -> None:
    """Time the count of the words of passages, and its side file."""
    weights = [1 / rank for rank in range(1, len(words) + 1)]  # Zipf's law
    tokens = chance.choices(words, weights, k=passages * PASSAGE_WORDS)
    texts = [
        " ".join(tokens[first : first + PASSAGE_WORDS])
        for first in range(0, len(tokens), PASSAGE_WORDS)
    ]
    vocabularies: list[Vocabulary] = []
    count_time = seconds(lambda: vocabularies.append(count_vocabulary(texts)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocabulary.npz"
        count = VocabularyCount(1, 1, vocabularies[0])
        save_time = seconds(lambda: save_vocabulary(path, count))
        load_time = seconds(lambda: load_vocabulary(path))
        size = path.stat().st_size
    print(
        f"{passages:,} passages, {len(vocabularies[0].words):,} words: counted in"
        f" {count_time:.2f} s, written in {1e3 * save_time:.0f} ms ({size / 1e6:.1f} MB), read in"
        f" {1e3 * load_time:.0f} ms"
    )


def seconds(call: Callable[[], object]) -> float:
    """Time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
